#include "job_worker.hpp"

#include <utility>

#include "relevo/postgres/jobs.hpp"

namespace relevo {
namespace {

using namespace std::chrono_literals;

// Results wait no longer than this for a row somebody has locked.
constexpr auto kLockTimeout = 50ms;

postgres::ConnectOptions impatient(postgres::ConnectOptions options) {
  options.lock_timeout = kLockTimeout;
  return options;
}

}  // namespace

JobWorker::JobWorker(const worker::Options& options, std::string instance,
                     std::chrono::milliseconds lease_ttl, postgres::ConnectOptions database,
                     postgres::ReplicaInfo info, Ports ports)
    : database_(std::move(database)),
      leases_(
          std::move(instance), lease_ttl,
          [this, info = std::move(info)] {
            return std::make_unique<postgres::LeaseStore>(database_, info,
                                                          postgres::Leased::kLanes);
          },
          ports.log, ports.clock),
      worker_(
          options,
          worker::Worker::Ports{
              [this, lanes = options.lanes] { return postgres::connect_jobs(database_, lanes); },
              [this] {
                return std::make_unique<postgres::ResultWriter>(impatient(database_),
                                                                leases_.holder());
              },
              [this] {
                return std::make_unique<postgres::UnitSource>(database_, leases_.holder());
              },
              ports.isolation, leases_, ports.registry, ports.metrics, ports.log, ports.clock,
              std::move(ports.replace)}) {}

JobWorker::~JobWorker() { stop(); }

void JobWorker::start() {
  leases_.start();
  worker_.start();
}

void JobWorker::stop() {
  worker_.stop();
  leases_.stop();
}

}  // namespace relevo
