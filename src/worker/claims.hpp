// The jobs this worker has claimed, from the commit of their journal to the commit of their end,
// and what runs of them. Keeps scheduler and lanes in step: a run frees what it held there when it
// is over, a job is forgotten when its end is written.
//
// A run whose lane was lost goes on until it has stopped; how it ends is nobody's matter then.
//
// One thread. Borrows lanes, scheduler and clock for its life.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <unordered_map>

#include "held_lanes.hpp"
#include "relevo/core/clock.hpp"
#include "relevo/worker/executor.hpp"
#include "relevo/worker/scheduler.hpp"

namespace relevo::worker {

// What became of the wish to cancel a job.
enum class Cancellation {
  kNotYet,    // to be tried again
  kStopping,  // it runs, and was asked to stop just now
  kDone,      // there is nothing more to do
};

class Claims {
 public:
  Claims(HeldLanes& lanes, Scheduler& scheduler, const core::Clock& clock)
      : lanes_(lanes), scheduler_(scheduler), clock_(clock) {}

  // Whose end is not yet committed.
  std::size_t size() const { return claimed_.size(); }
  bool contains(JobId job) const { return claimed_.contains(job); }
  std::size_t running() const { return running_.size(); }

  // Journalled in this lane: it may run.
  Claim* add(HeldLane& lane, std::unique_ptr<Claim> claim);
  struct Run {
    std::unique_ptr<Claim> claim;  // nullptr: not known
    bool ours = false;             // false: its lane was lost meanwhile
  };
  // A run is over, or given up.
  Run end(const Claim* run);
  // It will not run: the row goes back as it was, for the next holder.
  void recall(const Claim* run);
  // The run did not count: the job comes again, so long after its end is written.
  void comes_again(JobId job, std::chrono::milliseconds in);
  // So do jobs of a lost holder, by this time.
  void expect_again_by(core::BootTime at);
  // By when all of them are due.
  core::BootTime comes_again_at() const { return comes_again_at_; }
  // The end of a job is written, or is no matter of ours any more.
  void over(const JobKey& job);
  // Whoever holds the lane now runs its jobs again; what still runs here is asked to stop.
  void drop_lane(feed::Slice lane);

  // nullopt: it is not claimed.
  std::optional<Cancellation> cancel(JobId job);
  void ask_all_to_stop();

 private:
  // Of the present tenure of its lane.
  struct Claimed {
    JobKey key;
    feed::Slice lane = 0;
    Claim* running = nullptr;                  // nullptr: the run is over
    std::chrono::milliseconds comes_again{0};  // after this time; 0: not by itself
  };

  HeldLanes& lanes_;
  Scheduler& scheduler_;
  const core::Clock& clock_;
  std::unordered_map<JobId, Claimed> claimed_;
  std::unordered_map<const Claim*, std::unique_ptr<Claim>> running_;
  core::BootTime comes_again_at_{};
};

}  // namespace relevo::worker
