// What has to be done now and then beside relaying and running: partitions ahead, old ticks,
// history, and the figures that need a look at the database (backlog, queues, dead letters). Every
// replica does it; the database's functions let one do the work. A thread and a connection of its
// own.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "relevo/core/clock.hpp"
#include "relevo/core/heartbeat.hpp"
#include "relevo/core/log.hpp"
#include "relevo/core/service.hpp"
#include "relevo/metrics/metrics.hpp"
#include "relevo/postgres/connection.hpp"

namespace relevo {

struct UpkeepOptions {
  bool relay = true;                                           // the outbox
  bool jobs = false;                                           // jobs, schedules and inboxes
  std::chrono::milliseconds history = std::chrono::hours(24);  // finished jobs are kept so long
};

class Upkeep final : public core::Service {
 public:
  Upkeep(postgres::ConnectOptions database, metrics::Metrics& metrics, core::Log& log,
         const core::Clock& clock, UpkeepOptions options);
  ~Upkeep() override;

  std::string_view name() const override { return "upkeep"; }
  void start() override;
  void stop() override;

  const core::Heartbeat& heartbeat() const { return heartbeat_; }

 private:
  class Rounds;

  void run();
  bool pause(std::chrono::milliseconds time);  // false: stopping

  const postgres::ConnectOptions database_;
  metrics::Metrics& metrics_;
  core::Log& log_;
  const core::Clock& clock_;
  const UpkeepOptions options_;
  core::Heartbeat heartbeat_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace relevo
