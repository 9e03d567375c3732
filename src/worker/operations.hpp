// Applies an operation on all jobs that match to those of our lanes that were asked for it: one
// operation at a time, and a page a turn, so that everything else goes on.
//
// A lane is told to be done when every job that matches was changed, asked to stop, or is gone;
// what is just ending, or locked by somebody, is looked at until then. Of a lane that is lost
// meanwhile, or about to be handed back, the next holder begins anew.
//
// No job starts between the change of its row and its removal from the scheduler, since one thread,
// the worker's, does both. Borrows lanes, scheduler and clock for its life.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <span>

#include "claims.hpp"
#include "held_lanes.hpp"
#include "relevo/core/clock.hpp"
#include "relevo/worker/job_store.hpp"
#include "relevo/worker/scheduler.hpp"

namespace relevo::worker {

class Operations {
 public:
  using CancelJob = std::function<Cancellation(JobId)>;

  Operations(HeldLanes& lanes, Scheduler& scheduler, const core::Clock& clock)
      : lanes_(lanes), scheduler_(scheduler), clock_(clock) {}

  // Begins the first operation that the signals ask for, unless one is under way.
  void begin(std::span<const Signal> signals);
  // The next page. cancel: called for jobs that match and run. False: there was nothing to do now.
  bool step(JobReader& jobs, const CancelJob& cancel);
  // The signals stand: it begins anew.
  void forget() { current_.reset(); }

 private:
  struct Lane {
    std::int64_t epoch = 0;
    std::int64_t signal = 0;
  };
  struct Current {
    std::int64_t id = 0;
    std::map<feed::Slice, Lane> lanes{};
    std::optional<JobId> after = 0;  // the next page; nullopt: all were looked at once
    std::deque<JobId> again{};       // where pages begin that missed something
    core::BootTime again_at{};
    std::size_t stopping = 0;  // asked to stop, and not told of yet
  };

  std::optional<JobId> apply_page(JobReader& jobs, const CancelJob& cancel, JobId after);
  void tell(JobReader& jobs);

  HeldLanes& lanes_;
  Scheduler& scheduler_;
  const core::Clock& clock_;
  std::optional<Current> current_;
};

}  // namespace relevo::worker
