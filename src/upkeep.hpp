// What has to be done now and then beside relaying: partitions ahead, old ticks, and the figures
// that need a look at the database (backlog, dead events). Every replica does it; the database's
// functions let one do the work. A thread and a connection of its own.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "relevo/core/clock.hpp"
#include "relevo/core/heartbeat.hpp"
#include "relevo/core/log.hpp"
#include "relevo/core/service.hpp"
#include "relevo/postgres/connection.hpp"
#include "relevo/relay/metrics.hpp"

namespace relevo {

class Upkeep final : public core::Service {
 public:
  Upkeep(postgres::ConnectOptions database, relay::Metrics& metrics, core::Log& log,
         const core::Clock& clock);
  ~Upkeep() override;

  std::string_view name() const override { return "upkeep"; }
  void start() override;
  void stop() override;

  const core::Heartbeat& heartbeat() const { return heartbeat_; }

 private:
  void run();
  bool pause(std::chrono::milliseconds time);  // false: stopping

  const postgres::ConnectOptions database_;
  relay::Metrics& metrics_;
  core::Log& log_;
  const core::Clock& clock_;
  core::Heartbeat heartbeat_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace relevo
