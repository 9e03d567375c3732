#include "upkeep.hpp"

#include <algorithm>
#include <memory>
#include <utility>

#include "relevo/core/backoff.hpp"
#include "relevo/core/error.hpp"
#include "relevo/core/outage.hpp"
#include "relevo/postgres/inspector.hpp"

namespace relevo {
namespace {

using namespace std::chrono_literals;

constexpr auto kFiguresEvery = 1s;
constexpr auto kTidyEvery = 10s;
constexpr int kPartitionsAhead = 20;

void measure(postgres::Inspector& inspector, relay::Metrics& metrics, const core::Clock& clock) {
  const auto backlog = inspector.backlog();
  const auto age = backlog.oldest ? std::max(clock.wall() - *backlog.oldest, 0us) : 0us;
  metrics.backlog(backlog.events, backlog.exact, age);
}

// Looks at every dead event: not so often.
void count_dead(postgres::Inspector& inspector, relay::Metrics& metrics) {
  std::int64_t parked = 0;
  for (const auto& count : inspector.dead_counts()) {
    if (count.state != "skipped") parked += count.events;
  }
  metrics.dead_events(parked, parked == 0 ? 0 : inspector.dead_aggregates());
}

}  // namespace

Upkeep::Upkeep(postgres::ConnectOptions database, relay::Metrics& metrics, core::Log& log,
               const core::Clock& clock)
    : database_(std::move(database)), metrics_(metrics), log_(log), clock_(clock) {}

Upkeep::~Upkeep() { stop(); }

void Upkeep::start() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = false;
  }
  heartbeat_.beat(clock_.now());
  thread_ = std::thread([this] { run(); });
}

void Upkeep::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
  heartbeat_.rest();
}

bool Upkeep::pause(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  return !wake_.wait_for(lock, time, [this] { return stopping_; });
}

void Upkeep::run() {
  core::Backoff backoff(100ms, 2s);
  std::unique_ptr<postgres::Inspector> inspector;
  core::BootTime next_tidy{};
  core::Outage partitions("creation of partitions", log_, clock_);
  for (bool going = true; going;) {
    heartbeat_.beat(clock_.now());
    try {
      if (!inspector) inspector = std::make_unique<postgres::Inspector>(database_);
      if (clock_.now() >= next_tidy) {
        next_tidy = clock_.now() + kTidyEvery;
        (void)inspector->prune_ticks();
        count_dead(*inspector, metrics_);
        if (const int created = inspector->ensure_partitions(kPartitionsAhead); created > 0) {
          log_.info("outbox partitions created", {{"partitions", created}});
        }
        partitions.recovered();
      }
      measure(*inspector, metrics_, clock_);
      backoff.reset();
      going = pause(kFiguresEvery);
    } catch (const core::IntegrationError& error) {
      inspector.reset();
      // The relay tells of PostgreSQL's outages. A lock that somebody holds (a dump reads the
      // DEFAULT partition, say) only postpones this; it matters when no partition lies ahead any
      // more.
      if (error.kind() == core::ErrorKind::kConflict) partitions.failed(error.what());
      log_.debug("upkeep postponed", {{"reason", error.what()}});
      going = pause(backoff.next());
    }
  }
}

}  // namespace relevo
