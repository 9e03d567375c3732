// Everything the role `worker` needs beside the registry of its handlers: the lanes' leases, the
// worker, its connections.
#pragma once

#include <functional>
#include <string>

#include "relevo/core/clock.hpp"
#include "relevo/core/log.hpp"
#include "relevo/core/service.hpp"
#include "relevo/feed/lease_keeper.hpp"
#include "relevo/postgres/connection.hpp"
#include "relevo/postgres/positions.hpp"
#include "relevo/worker/worker.hpp"

namespace relevo {

class JobWorker final : public core::Service {
 public:
  struct Ports {
    worker::Isolation* isolation;  // nullptr: suspects run among the others
    const worker::Registry& registry;
    worker::Metrics& metrics;
    core::Log& log;
    const core::Clock& clock;
    std::function<void()> replace;
  };

  // instance: name of this replica, unique among those that live.
  JobWorker(const worker::Options& options, std::string instance,
            std::chrono::milliseconds lease_ttl, postgres::ConnectOptions database,
            postgres::ReplicaInfo info, Ports ports);
  ~JobWorker() override;

  std::string_view name() const override { return "worker"; }
  void start() override;
  void stop() override;

  const worker::Worker& worker() const { return worker_; }
  const feed::LeaseKeeper& leases() const { return leases_; }

 private:
  const postgres::ConnectOptions database_;
  feed::LeaseKeeper leases_;
  worker::Worker worker_;
};

}  // namespace relevo
