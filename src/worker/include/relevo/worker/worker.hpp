// The worker of one replica: takes its share of the lanes, reads the jobs that were committed to
// them, claims them in the lane's journal, has them run, and writes how they ended.
//
// Guarantees that every committed job ends done, dead, cancelled or quarantined, that a job whose
// handler works in the unit of work takes effect exactly once, and any other at least once: a
// second execution happens only to jobs that were in flight when a process died, and is counted
// (docs/jobs.md). PostgreSQL being away ends nothing: it waits and goes on.
//
// One thread decides everything; handlers run elsewhere (Executor). Leases are renewed by
// feed::LeaseKeeper.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "relevo/core/clock.hpp"
#include "relevo/core/heartbeat.hpp"
#include "relevo/core/log.hpp"
#include "relevo/core/service.hpp"
#include "relevo/feed/lease_keeper.hpp"
#include "relevo/worker/executor.hpp"
#include "relevo/worker/job_store.hpp"
#include "relevo/worker/metrics.hpp"
#include "relevo/worker/registry.hpp"

namespace relevo::worker {

struct Options {
  int lanes = 16;
  int threads = 8;
  std::size_t max_in_flight = 2'000;  // claims whose end is not yet committed
  std::chrono::milliseconds poll_min{1};
  std::chrono::milliseconds poll_max{25};
  std::chrono::milliseconds save_interval{250};
  int quarantine_after = 3;
  std::chrono::milliseconds give_up{30'000};
  std::chrono::milliseconds drain{20'000};  // how long stop() waits for what runs
  // Ends by itself when nothing is due and nothing runs, here or in lanes of others. Retries and
  // jobs of later are not waited for, but for attempts that did not count.
  bool until_empty = false;
  std::vector<std::string> queues;  // of which jobs are run; empty: all
};

class Worker final : public core::Service {
 public:
  struct Ports {
    std::function<JobSession()> connect;  // throws core::IntegrationError
    std::function<std::unique_ptr<ResultWriter>()> connect_results;
    std::function<std::unique_ptr<UnitSource>()> units;
    Isolation* isolation;  // nullptr: suspects run among the others
    feed::LeaseKeeper& leases;
    const Registry& registry;
    Metrics& metrics;
    core::Log& log;
    const core::Clock& clock;
    // A handler does not come back: the process should end and be started anew. Called once.
    std::function<void()> replace;
  };

  Worker(Options options, Ports ports);
  ~Worker() override;

  std::string_view name() const override { return "worker"; }
  void start() override;
  // Claims nothing more, waits for what runs, asks it to stop, hands the rest back unburnt.
  void stop() override;

  const core::Heartbeat& heartbeat() const;
  bool ready() const;
  // With until_empty: whether it has ended.
  bool finished() const;

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
  std::thread thread_;
};

}  // namespace relevo::worker
