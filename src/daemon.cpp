#include "daemon.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "consumers.hpp"
#include "handler_set.hpp"
#include "isolation.hpp"
#include "job_worker.hpp"
#include "relevo/core/backoff.hpp"
#include "relevo/core/error.hpp"
#include "relevo/core/heartbeat.hpp"
#include "relevo/core/outage.hpp"
#include "relevo/http/http_server.hpp"
#include "relevo/kafka/embedded.hpp"
#include "relevo/kafka/publisher.hpp"
#include "relevo/metrics/metrics.hpp"
#include "relevo/postgres/dead_events.hpp"
#include "relevo/postgres/inspector.hpp"
#include "relevo/postgres/migrator.hpp"
#include "relevo/postgres/outbox.hpp"
#include "relevo/postgres/positions.hpp"
#include "relevo/postgres/schedules.hpp"
#include "relevo/postgres/statement_names.hpp"
#include "relevo/relay/relay.hpp"
#include "relevo/worker/schedule_runner.hpp"
#include "upkeep.hpp"
#include "wiring.hpp"

namespace relevo {
namespace {

using namespace std::chrono_literals;
using core::ErrorKind;
using core::IntegrationError;

// A loop that takes so much longer than its longest single step is stuck.
constexpr auto kStuckMargin = 30s;

relay::Session connect_session(const postgres::ConnectOptions& options, const std::string& holder,
                               int shards) {
  auto reading = std::make_shared<postgres::Connection>(options);
  auto writing = std::make_shared<postgres::Connection>(options);
  return {std::make_unique<postgres::TickSource>(reading),
          std::make_unique<postgres::OutboxSource>(reading, shards),
          std::make_unique<postgres::PayloadSource>(writing),
          std::make_unique<postgres::PositionStore>(writing, shards),
          std::make_unique<postgres::DeadEvents>(writing, holder)};
}

// Ends the process when it has not ended by itself in time: a network that swallows packets can
// hold a connection longer than Kubernetes waits. What was not handed back then lapses.
class DeadlineExit {
 public:
  DeadlineExit(std::chrono::milliseconds time, core::Log& log)
      : thread_([this, time, &log] {
          std::unique_lock lock(mutex_);
          if (done_.wait_for(lock, time, [this] { return ended_; })) return;
          log.error("shutdown.grace is over; leases lapse by themselves");
          std::_Exit(exit_code::kFailed);
        }) {}
  ~DeadlineExit() {
    {
      std::lock_guard lock(mutex_);
      ended_ = true;
    }
    done_.notify_all();
    thread_.join();
  }
  DeadlineExit(const DeadlineExit&) = delete;
  DeadlineExit& operator=(const DeadlineExit&) = delete;

 private:
  std::mutex mutex_;
  std::condition_variable done_;
  bool ended_ = false;
  std::thread thread_;
};

std::string roles_text(const std::vector<std::string>& roles) {
  std::string text;
  for (const auto& role : roles) text += (text.empty() ? "" : ",") + role;
  return text;
}

UpkeepOptions upkeep_options(const config::Config& config) {
  UpkeepOptions options{false, false, config.worker.history};
  for (const auto& role : config.roles) (role == "relay" ? options.relay : options.jobs) = true;
  return options;
}

}  // namespace

// What publishes the outbox.
struct RelayPart {
  RelayPart(const config::Config& config, const kafka::PublisherOptions& kafka,
            const postgres::ConnectOptions& database, const std::string& instance,
            const postgres::ReplicaInfo& info, metrics::Metrics& metrics, core::Log& log,
            const core::Clock& clock)
      : publisher(kafka, log, clock),
        leases(
            instance, config.relay.lease_ttl,
            [database, info] { return std::make_unique<postgres::LeaseStore>(database, info); },
            log, clock),
        relay(relay_options(config),
              relay::Relay::Ports{[database, instance, shards = config.relay.shards] {
                                    return connect_session(database, instance, shards);
                                  },
                                  leases, publisher, metrics, log, clock}) {}

  void start() {
    leases.start();
    relay.start();
  }
  void stop() {
    relay.stop();
    leases.stop();
  }
  bool connected() const { return relay.ready() && leases.connected(); }

  kafka::KafkaPublisher publisher;
  feed::LeaseKeeper leases;
  relay::Relay relay;
};

struct Daemon::Parts {
  Parts(const config::Config& config, std::vector<std::string> isolated_job, core::Log& log);

  bool wait_for_schema();
  void check_shards();
  void start();
  void stop();
  void replace();
  http::Health live() const;
  http::Health ready() const;
  bool database_ok() const;
  bool kafka_ok() const;
  std::string scrape();

  const config::Config& config;
  core::Log& log;
  const core::Clock& clock = core::system_clock();
  boost::asio::io_context control;
  // First of all: threads started later inherit nothing that could take the signals away.
  boost::asio::signal_set signals{control, SIGTERM, SIGINT};
  bool stop_asked = false;
  std::atomic<bool> schema_fits{false};
  std::atomic<bool> stopping{false};
  std::atomic<bool> replacing{false};

  metrics::Metrics metrics;
  const std::string instance;
  const postgres::ConnectOptions database;
  std::optional<kafka::EmbeddedKafka> embedded;
  std::optional<RelayPart> relay;
  std::optional<HandlerSet> handlers;
  std::optional<ChildIsolation> isolation;
  std::optional<JobWorker> jobs;
  std::optional<worker::ScheduleRunner> schedules;
  std::optional<Consumers> consumers;
  Upkeep upkeep;
  std::optional<http::HttpServer> http;
};

Daemon::Parts::Parts(const config::Config& c, std::vector<std::string> isolated_job, core::Log& l)
    : config(c),
      log(l),
      metrics(version(), postgres::statement_names(), clock),
      instance(instance_name(c)),
      database(connect_options(c,
                               [this](std::string_view name, std::chrono::nanoseconds duration) {
                                 metrics.query_finished(name, duration);
                               })),
      upkeep(database, metrics, l, clock, upkeep_options(c)) {
  const bool relays = has_role(config, "relay");
  const bool works = has_role(config, "worker");
  const bool consumes = has_role(config, "consumer");
  auto kafka = publisher_options(config);
  if (config.kafka.embedded && (relays || consumes)) {
    embedded.emplace();
    kafka.client.bootstrap_servers = embedded->bootstrap();
    kafka.embedded = &*embedded;
  }
  const postgres::ReplicaInfo info{std::string(version()), host_name(), roles_text(config.roles)};
  if (relays) relay.emplace(config, kafka, database, instance, info, metrics, log, clock);
  if (works || consumes) handlers.emplace(config, metrics.endpoints(), log, clock);
  if (works) {
    isolation.emplace(std::move(isolated_job), instance, config.worker.quarantine_after, clock);
    jobs.emplace(worker_options(config), instance, config.worker.lease_ttl, database, info,
                 JobWorker::Ports{&*isolation, handlers->registry(), metrics.worker(), log, clock,
                                  [this] { replace(); }});
  }
  if (has_role(config, "scheduler")) {
    schedules.emplace([this] { return std::make_unique<postgres::Schedules>(database); },
                      schedules_of(config), metrics.schedules(), log, clock);
  }
  if (consumes)
    consumers.emplace(config, kafka, database, *handlers, metrics.consumers(), log, clock,
                      [this] { replace(); });
  if (config.http.listen.empty()) return;
  http.emplace(config.http.listen,
               http::Endpoints{[this] { return live(); }, [this] { return ready(); },
                               [this] { return scrape(); }, "relevo " + std::string(version())});
}

// A handler does not come back: whoever started this process starts a new one.
void Daemon::Parts::replace() {
  replacing = true;
  boost::asio::post(control, [this] {
    stop_asked = true;
    control.stop();
  });
}

http::Health Daemon::Parts::live() const {
  const auto now = clock.now();
  const auto stuck_after =
      config.database.connect_timeout + config.database.statement_timeout + kStuckMargin;
  http::Health health;
  const auto check = [&](std::string name, const core::Heartbeat& heartbeat) {
    const auto age = heartbeat.age(now);
    health.checks.push_back({std::move(name), !age || *age < stuck_after, {}});
  };
  if (relay) {
    check("relay", relay->relay.heartbeat());
    check("leases", relay->leases.heartbeat());
  }
  if (jobs) {
    check("worker", jobs->worker().heartbeat());
    check("lane leases", jobs->leases().heartbeat());
  }
  if (schedules) check("schedules", schedules->heartbeat());
  if (consumers) {
    for (const auto& [subscription, heartbeat] : consumers->heartbeats()) {
      check("consumer " + subscription, heartbeat);
    }
  }
  check("upkeep", upkeep.heartbeat());
  return health;
}

bool Daemon::Parts::database_ok() const {
  if (relay && !relay->connected()) return false;
  return !jobs || (jobs->worker().ready() && jobs->leases().connected());
}

bool Daemon::Parts::kafka_ok() const {
  if (relay && !relay->relay.kafka_reachable()) return false;
  return !consumers || consumers->ready();
}

http::Health Daemon::Parts::ready() const {
  http::Health health;
  health.checks.push_back({"running", !stopping, stopping ? "stopping" : ""});
  health.checks.push_back(
      {"schema", schema_fits, schema_fits ? "" : "waiting for PostgreSQL and its schema"});
  health.checks.push_back({"postgres", database_ok(), database_ok() ? "" : "not connected"});
  if (relay) {
    const bool reachable = relay->relay.kafka_reachable();
    health.checks.push_back({"kafka", reachable, reachable ? "" : "no broker answers"});
  }
  if (consumers) {
    const auto problems = consumers->problems();
    for (const auto& problem : problems) health.checks.push_back({"subscription", false, problem});
    const bool fine = consumers->ready();
    health.checks.push_back({"consumers", fine, fine ? "" : "not connected"});
  }
  return health;
}

std::string Daemon::Parts::scrape() {
  metrics.postgres_up(database_ok());
  if (relay || consumers) metrics.kafka_up(kafka_ok());
  return metrics.scrape();
}

// The number of shards is fixed once the schema is in use.
void Daemon::Parts::check_shards() {
  const auto found = postgres::Inspector(database).surroundings();
  if (found.positions != found.shards || found.shards == 0) {
    throw IntegrationError(ErrorKind::kMisconfigured, "relevo.position",
                           "has " + std::to_string(found.positions) + " rows for " +
                               std::to_string(found.shards) +
                               " shards (deleted by hand?); restore the missing ones");
  }
  if (found.shards != config.relay.shards) {
    const auto now = std::to_string(found.shards);
    throw IntegrationError(ErrorKind::kMisconfigured, "relay.shards",
                           "is " + std::to_string(config.relay.shards) + ", but the database has " +
                               now + " shards in use; set it to " + now);
  }
}

// Waits for a database with a schema this program can work with; returns false when asked to stop.
bool Daemon::Parts::wait_for_schema() {
  core::Outage outage("postgres", log, clock);
  core::Backoff backoff(100ms, 2s);
  bool said = false;
  while (!stop_asked) {
    try {
      postgres::Migrator migrator(database);
      outage.recovered();
      const auto state = migrator.state();
      if (state.fit == postgres::Fit::kProgramTooOld) {
        throw IntegrationError(
            ErrorKind::kMisconfigured, "schema version",
            "the database needs a program of schema version " +
                std::to_string(state.oldest_program_version) + " or newer; this one has " +
                std::to_string(postgres::Migrator::program_version()) + ": install a newer relevo");
      }
      if (state.fit == postgres::Fit::kFits) {
        if (relay) check_shards();
        schema_fits = true;
        return true;
      }
      if (!std::exchange(said, true)) {
        log.warn("waiting for the schema: run `relevo migrate`",
                 {{"version", state.version}, {"needed", postgres::Migrator::program_version()}});
      }
    } catch (const IntegrationError& error) {
      if (error.kind() == ErrorKind::kMisconfigured) throw;
      outage.failed(error.what());
    }
    control.run_for(backoff.next());
  }
  return false;
}

void Daemon::Parts::start() {
  log.info("starting",
           {{"version", version()}, {"instance", instance}, {"roles", roles_text(config.roles)}});
  if (embedded) {
    log.info("embedded kafka listening", {{"bootstrap", embedded->bootstrap()}});
  }
  if (http) {
    http->start();
    log.info("http listening", {{"listen", config.http.listen}, {"port", http->port()}});
  }
  if (!wait_for_schema()) return;
  if (relay) relay->start();
  if (handlers) handlers->start();
  if (jobs) jobs->start();
  if (schedules) schedules->start();
  if (consumers) consumers->start();
  upkeep.start();
}

// What takes work in first, what the work needs last.
void Daemon::Parts::stop() {
  stopping = true;
  const DeadlineExit deadline(config.shutdown.grace, log);
  if (schedules) schedules->stop();
  std::vector<std::thread> parallel;  // each may use up its time
  if (consumers) parallel.emplace_back([this] { consumers->stop(); });
  if (jobs) parallel.emplace_back([this] { jobs->stop(); });
  if (relay) relay->stop();
  for (auto& thread : parallel) thread.join();
  upkeep.stop();
  if (handlers) handlers->stop();
  if (http) http->stop();
  log.info("stopped");
}

Daemon::Daemon(config::Config config, std::vector<std::string> isolated_job, core::Log& log)
    : config_(std::move(config)), isolated_job_(std::move(isolated_job)), log_(log) {}

Daemon::~Daemon() = default;

int Daemon::run() {
  std::signal(SIGPIPE, SIG_IGN);
  try {
    parts_ = std::make_unique<Parts>(config_, isolated_job_, log_);
    auto& parts = *parts_;
    parts.signals.async_wait([&](const boost::system::error_code& error, int signal) {
      if (error) return;
      parts.stop_asked = true;
      parts.log.info("signal", {{"signal", signal == SIGTERM ? "SIGTERM" : "SIGINT"}});
      // The next one finds no handler: it ends the process at once.
      std::signal(SIGTERM, SIG_DFL);
      std::signal(SIGINT, SIG_DFL);
    });
    parts.start();
    parts.control.restart();
    if (!parts.stop_asked) parts.control.run();
    parts.stop();
    // A thread of a handler that never came back would keep the process from ending.
    if (parts.replacing) std::_Exit(exit_code::kFailed);
    return exit_code::kOk;
  } catch (const IntegrationError& error) {
    log_.error("cannot start", {{"what", error.operation()}, {"reason", error.detail()}});
    if (parts_) parts_->stop();
    return error.kind() == ErrorKind::kMisconfigured ? exit_code::kMisconfigured
                                                     : exit_code::kFailed;
  }
}

}  // namespace relevo
