// Runs claimed jobs: on threads of this process, through a remote handler, or, when a job is
// suspected of having killed its process, in a child process of its own. Every claim that was
// started comes back exactly once by collect(), with what it came to, unless recall() returned it.
//
// start(), collect(), recall() and keep_time() are called by one thread, the worker's.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <stop_token>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "relevo/core/clock.hpp"
#include "relevo/core/log.hpp"
#include "relevo/worker/job_store.hpp"
#include "relevo/worker/registry.hpp"
#include "relevo/worker/verdict.hpp"

namespace relevo::worker {

// A journalled job, from its start to the commit of its end.
struct Claim {
  std::unique_ptr<JobRecord> job;
  const KindEntry* kind = nullptr;  // nullptr: no handler here
  std::uint64_t sequence = 0;       // its place in the order of arrival
  std::chrono::milliseconds waited{0};
  std::stop_source stop;
  bool cancelled = false;  // somebody asked for it while it ran
  bool expired = false;    // its time had passed before it could start

  const JobRow& row() const { return job->row(); }
  const KindPolicy& policy() const;  // the default one where there is no handler
  std::chrono::milliseconds timeout() const;
};

struct Ended {
  Claim* claim = nullptr;
  Outcome outcome;
  std::chrono::nanoseconds ran{0};
  enum class How {
    kJudged,     // the outcome decides
    kCommitted,  // the handler's own transaction has ended it
    kRefused,    // its row is somebody else's now
    kInDoubt,    // a lost connection or a deadlock: does not count
    kCrashed,    // its child process died
  } how = How::kJudged;
};

// What a thread of the executor has of its own: a connection, made when first needed.
class UnitSource {
 public:
  virtual ~UnitSource() = default;
  virtual std::unique_ptr<RunUnit> begin() = 0;
};

// Runs suspects where their death harms nobody.
class Isolation {
 public:
  virtual ~Isolation() = default;
  // Blocks. stop: kill it. Thread-safe.
  virtual Ended run(const Claim& claim, std::stop_token stop) = 0;
  // Called now and then: gives up what is kept for suspects that do not come.
  virtual void tidy(core::BootTime now) = 0;
};

class Executor {
 public:
  struct Options {
    int threads = 8;
    std::chrono::milliseconds give_up{30'000};
    std::string worker;  // its name in the history
  };

  Executor(Options options, std::function<std::unique_ptr<UnitSource>()> units,
           Isolation* isolation, core::Log& log, const core::Clock& clock);
  ~Executor();

  void start(std::span<Claim* const> claims);
  void collect(std::vector<Ended>& ended);
  // Claims that no thread has begun; they will not run.
  std::vector<Claim*> recall();
  // Sets the stop token of what is over its time; gives up what ignores it. Claims given up belong
  // to the executor from then on, since their handler still uses them: `owned` hands them over.
  void keep_time(core::BootTime now,
                 const std::function<std::unique_ptr<Claim>(const Claim&)>& owned);
  // Asks everything that runs to stop.
  void stop_all();
  // Gives up on every thread that has not come back: the process is about to end.
  void abandon();

  // How many more the threads should be given now, so that they never wait for a journal.
  std::size_t room() const;
  std::size_t in_flight() const { return in_flight_; }
  // Threads given up and not come back.
  int given_up() const { return given_up_.load(std::memory_order_relaxed); }
  // Readable when collect() would return something.
  int event() const { return event_; }

  // Runs one job on the calling thread, as a child process does.
  static Ended run_here(Claim& claim, UnitSource& units, Judge& judge, core::Log& log,
                        const core::Clock& clock);

 private:
  struct Slot;
  class RunContext;

  bool runs_remotely(const Claim& claim) const;
  void add_thread();
  void run_thread(const std::shared_ptr<Slot>& slot);
  // What a thread took off the queue. Until begin() said that they are still its own, the claims
  // may be taken back and go: they are not to be looked at.
  struct Taken {
    std::vector<Claim*> together;  // in one call of their batch handler
    std::vector<Claim*> singly;
  };
  Taken take(Slot& slot);
  void run_claims(Slot& slot, std::span<Claim* const> claims);
  void run_batch(Slot& slot, Taken& taken);
  Ended run_single(Claim& claim, UnitSource& units, Judge& judge);
  static void conclude(std::span<Claim* const> claims, std::vector<Ended>& ended, RunUnit& unit,
                       Judge& judge);
  void start_remote(Claim& claim);
  void post(std::vector<Ended>& ended);
  std::vector<Ended> call_batch(Slot& slot, std::span<Claim* const> claims);
  bool begin(Slot& slot, std::span<Claim* const> claims);
  bool leave(Slot& slot, std::span<Ended> results);

  const Options options_;
  const std::function<std::unique_ptr<UnitSource>()> units_;
  Isolation* const isolation_;
  core::Log& log_;
  const core::Clock& clock_;
  int event_ = -1;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Claim*> queue_;
  std::vector<Ended> ended_;
  std::unordered_map<const KindEntry*, std::chrono::nanoseconds> mean_;  // of one run
  std::vector<std::shared_ptr<Slot>> slots_;
  bool stopping_ = false;
  std::atomic<int> given_up_{0};

  std::size_t in_flight_ = 0;
  std::size_t pool_in_flight_ = 0;
  double pool_rate_ = 0;  // ends a second
  std::size_t pool_ended_ = 0;
  core::BootTime rate_since_{};
  core::BootTime next_check_{};
  std::vector<std::thread> threads_;
};

}  // namespace relevo::worker
