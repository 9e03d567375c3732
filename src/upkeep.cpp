#include "upkeep.hpp"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "pace.hpp"
#include "relevo/core/backoff.hpp"
#include "relevo/core/error.hpp"
#include "relevo/core/outage.hpp"
#include "relevo/postgres/inspector.hpp"

namespace relevo {
namespace {

using namespace std::chrono_literals;

constexpr auto kFiguresEvery = 1s;
constexpr auto kTidyEvery = 10s;
constexpr auto kTidyJobsEvery = 1min;
constexpr int kPartitionsAhead = 20;

// A message that comes again after this long counts as new. Kafka seldom keeps them longer.
constexpr std::chrono::milliseconds kInboxKept = 24h * 30;

// Figures are taken to be stale no sooner than this.
constexpr std::chrono::duration<double> kFresh = 15s;

}  // namespace

// What is due, one after the other. An exception leaves what it interrupted for its next time, so
// that one that fails does not keep away the others.
class Upkeep::Rounds {
 public:
  explicit Rounds(Upkeep& upkeep)
      : metrics_(upkeep.metrics_),
        log_(upkeep.log_),
        clock_(upkeep.clock_),
        options_(upkeep.options_),
        partitions_("creation of partitions", upkeep.log_, upkeep.clock_),
        days_("tidying of finished jobs", upkeep.log_, upkeep.clock_) {}

  void make(postgres::Inspector& inspector) {
    if (due(next_tidy_, kTidyEvery)) tidy(inspector);
    if (options_.jobs && due(next_tidy_jobs_, kTidyJobsEvery)) {
      at_ = &days_;
      inspector.tidy_jobs(options_.history, kInboxKept);
      finished();
    }
    if (options_.relay && due(next_backlog_, kFiguresEvery)) measure_outbox(inspector);
    if (options_.jobs && queues_.due(clock_.now())) measure_jobs(inspector);
  }

  // The relay tells of PostgreSQL's outages. A lock that somebody holds (a dump reads the DEFAULT
  // partition, say) only postpones this; it matters when no partition lies ahead any more.
  void failed(const core::IntegrationError& error) {
    queues_.ended(clock_.now());
    if (at_ && error.kind() == core::ErrorKind::kConflict) at_->failed(error.what());
    at_ = nullptr;
  }

 private:
  bool due(core::BootTime& next, std::chrono::seconds every) const {
    const auto now = clock_.now();
    if (now < next) return false;
    next = now + every;
    return true;
  }

  void finished() {
    at_->recovered();
    at_ = nullptr;
  }

  // The worker makes ticks as well.
  void tidy(postgres::Inspector& inspector) {
    (void)inspector.prune_ticks();
    if (!options_.relay) return;
    count_dead_events(inspector);
    at_ = &partitions_;
    if (const int created = inspector.ensure_partitions(kPartitionsAhead); created > 0) {
      log_.info("outbox partitions created", {{"partitions", created}});
    }
    finished();
  }

  // Looks at every dead event: not so often.
  void count_dead_events(postgres::Inspector& inspector) {
    std::int64_t parked = 0;
    for (const auto& count : inspector.dead_counts()) {
      if (count.state != "skipped") parked += count.events;
    }
    metrics_.dead_events(parked, parked == 0 ? 0 : inspector.dead_aggregates());
  }

  void measure_outbox(postgres::Inspector& inspector) {
    const auto backlog = inspector.backlog();
    metrics_.backlog(backlog.events, backlog.exact, age_of(backlog.oldest));
  }

  // Bounded at any number of jobs, but not cheap where there are very many: paced.
  void measure_jobs(postgres::Inspector& inspector) {
    queues_.began(clock_.now());
    const auto queues = inspector.queue_figures();
    const auto messages = inspector.dead_message_counts();
    queues_.ended(clock_.now());

    std::vector<metrics::QueueDepth> depths;
    std::vector<metrics::DeadLetters> dead{{"jobs", 0}};
    for (const auto& queue : queues) {
      depths.push_back({queue.queue, queue.ready, age_of(queue.ready_since)});
      dead[0].count += queue.dead;
    }
    for (const auto& one : messages) dead.push_back({one.subscription, one.messages});
    metrics_.queues().queues(
        depths, std::max(kFresh, std::chrono::duration<double>(2 * queues_.interval())));
    metrics_.queues().dead_letters(dead);
  }

  std::chrono::microseconds age_of(const std::optional<core::WallTime>& oldest) const {
    return oldest ? std::max(clock_.wall() - *oldest, 0us) : 0us;
  }

  metrics::Metrics& metrics_;
  core::Log& log_;
  const core::Clock& clock_;
  const UpkeepOptions options_;
  core::Outage partitions_;
  core::Outage days_;
  core::Outage* at_ = nullptr;  // of what is being done
  core::BootTime next_tidy_{};
  core::BootTime next_tidy_jobs_{};
  core::BootTime next_backlog_{};
  Pace queues_{kFiguresEvery};
};

Upkeep::Upkeep(postgres::ConnectOptions database, metrics::Metrics& metrics, core::Log& log,
               const core::Clock& clock, UpkeepOptions options)
    : database_(std::move(database)),
      metrics_(metrics),
      log_(log),
      clock_(clock),
      options_(options) {}

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
  Rounds rounds(*this);
  for (bool going = true; going;) {
    heartbeat_.beat(clock_.now());
    try {
      if (!inspector) inspector = std::make_unique<postgres::Inspector>(database_);
      rounds.make(*inspector);
      backoff.reset();
      going = pause(kFiguresEvery);
    } catch (const core::IntegrationError& error) {
      inspector.reset();
      rounds.failed(error);
      log_.debug("upkeep postponed", {{"reason", error.what()}});
      going = pause(backoff.next());
    }
  }
}

}  // namespace relevo
