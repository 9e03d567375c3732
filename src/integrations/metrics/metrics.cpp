#include "relevo/metrics/metrics.hpp"

#include <prometheus/text_serializer.h>
#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <vector>

#include "consumer_series.hpp"
#include "endpoint_series.hpp"
#include "families.hpp"
#include "process_figures.hpp"
#include "queue_series.hpp"
#include "schedule_series.hpp"
#include "worker_series.hpp"

namespace relevo::metrics {

namespace {

constexpr std::array<std::string_view, 8> kReasons{
    "too_large", "invalid_topic", "unknown_topic", "unauthorized",
    "rejected",  "queued_behind", "producer_lost", "other"};

// Upper bounds, 1 ms to 60 s, in the unit of the port: comparing integers is what published()
// mostly does.
constexpr std::array<std::int64_t, 15> kEndToEndMicros{
    1'000,   2'500,     5'000,     10'000,    25'000,     50'000,     100'000,   250'000,
    500'000, 1'000'000, 2'500'000, 5'000'000, 10'000'000, 30'000'000, 60'000'000};

Histogram::BucketBoundaries end_to_end_bounds() {
  Histogram::BucketBoundaries bounds;
  for (const std::int64_t micros : kEndToEndMicros)
    bounds.push_back(static_cast<double>(micros) / 1e6);
  return bounds;
}

Histogram::BucketBoundaries query_bounds() {
  return {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30};
}

Histogram::BucketBoundaries batch_bounds() {
  return {1, 2, 5, 10, 20, 50, 100, 200, 500, 1'000, 2'000, 5'000, 10'000};
}

// After this long without a new measurement the oldest event is taken to have aged on: an age must
// not stand still because the database it is read from is down.
constexpr std::chrono::seconds kBacklogFresh{15};

template <class Known>
auto& known_or_other(Known& known, std::string_view label) {
  const auto found = known.find(label);
  return *(found == known.end() ? known.find(kOther) : found)->second;
}

}  // namespace

struct Metrics::Series {
  Series(std::string_view version, std::span<const std::string_view> query_names,
         const core::Clock& the_clock)
      : clock(the_clock) {
    gauge("relevo_build_info", "Version of the running program, as a label.",
          {{"version", std::string(version)}})
        .Set(1);
    auto& failures = counters(registry, "relevo_outbox_publish_failures_total",
                              "Events that Kafka did not take, by reason.");
    for (const std::string_view reason : kReasons) {
      publish_failures.emplace(reason, &failures.Add({{"reason", std::string(reason)}}));
    }
    auto& durations =
        histograms(registry, "relevo_postgres_query_seconds", "Duration of statements, by name.");
    const auto add_query = [&](std::string_view name) {
      queries.emplace(name, &durations.Add({{"query", std::string(name)}}, query_bounds()));
    };
    std::for_each(query_names.begin(), query_names.end(), add_query);
    add_query(kOther);
  }

  Counter& counter(const std::string& name, const std::string& help) {
    return counters(registry, name, help).Add({});
  }
  Gauge& gauge(const std::string& name, const std::string& help,
               const prometheus::Labels& labels = {}) {
    return gauges(registry, name, help).Add(labels);
  }
  Histogram& histogram(const std::string& name, const std::string& help,
                       const Histogram::BucketBoundaries& bounds) {
    return histograms(registry, name, help).Add({}, bounds);
  }

  template <class Part>
  Part& part(std::optional<Part>& slot) {
    const std::lock_guard lock(parts_mutex);
    if (!slot) slot.emplace(registry);
    return *slot;
  }

  void refresh_age() {
    const auto elapsed = clock.now() - backlog_measured_at;
    const bool stale = backlog_age.count() > 0 && elapsed > kBacklogFresh;
    oldest_age.Set((backlog_age + (stale ? std::chrono::duration<double>(elapsed)
                                         : std::chrono::duration<double>(0)))
                       .count());
  }

  void refresh_process() {
    const ProcessFigures figures = read_process_figures();
    resident_memory.Set(figures.resident_bytes);
    cpu_seconds.Increment(std::max(0.0, figures.cpu_seconds - cpu_seconds.Value()));
    open_descriptors.Set(figures.open_descriptors);
    start_time.Set(figures.start_time_seconds);
    threads.Set(figures.threads);
  }

  const core::Clock& clock;
  prometheus::Registry registry;

  Counter& published = counter("relevo_outbox_published_total", "Events acknowledged by Kafka.");
  Gauge& backlog_events =
      gauge("relevo_outbox_backlog_events", "Events committed and not yet published.");
  Gauge& oldest_age =
      gauge("relevo_outbox_oldest_unpublished_age_seconds", "Age of the oldest unpublished event.");
  Histogram& end_to_end =
      histogram("relevo_outbox_end_to_end_seconds",
                "From the creation of an event to its acknowledgement.", end_to_end_bounds());
  Histogram& batch_size =
      histogram("relevo_outbox_batch_size", "Events read from the outbox at once.", batch_bounds());
  Gauge& shards = gauge("relevo_shards_held", "Shards this replica holds the lease of.");
  Counter& leases_lost =
      counter("relevo_lease_lost_total", "Leases of shards lost other than by handing back.");
  Gauge& kafka_queue =
      gauge("relevo_kafka_queue_messages", "Records handed to Kafka and not yet acknowledged.");
  Gauge& dead_events = gauge("relevo_outbox_dead_events",
                             "Events set aside as undeliverable, or waiting behind one.");
  Gauge& dead_aggregates =
      gauge("relevo_outbox_dead_aggregates", "Aggregates stopped by an undeliverable event.");
  Counter& reopened =
      counter("relevo_kafka_producer_reopened_total", "Producers replaced after a fatal error.");
  Gauge& postgres_up = gauge("relevo_postgres_up", "1 while PostgreSQL answers.");

  Gauge& resident_memory = gauge("process_resident_memory_bytes", "Resident memory.");
  Counter& cpu_seconds = counter("process_cpu_seconds_total", "User and system CPU time spent.");
  Gauge& open_descriptors = gauge("process_open_fds", "Open file descriptors.");
  Gauge& start_time =
      gauge("process_start_time_seconds", "Start of the process, in seconds since 1970.");
  Gauge& threads = gauge("process_threads", "Threads of the process.");

  std::map<std::string, Counter*, std::less<>> publish_failures;
  std::map<std::string, Histogram*, std::less<>> queries;

  std::mutex mutex;  // guards the two below, and lets one scrape at a time compute its figures
  std::chrono::duration<double> backlog_age{0};
  core::BootTime backlog_measured_at{};

  QueueSeries queues{registry, clock};
  std::mutex parts_mutex;  // guards what follows
  std::optional<WorkerSeries> worker;
  std::optional<ScheduleSeries> schedules;
  std::optional<ConsumerSeries> consumers;
  std::optional<EndpointSeries> endpoints;
};

Metrics::Metrics(std::string_view version, std::span<const std::string_view> query_names,
                 const core::Clock& clock)
    : series_(std::make_unique<Series>(version, query_names, clock)) {}

Metrics::~Metrics() = default;

void Metrics::published(std::span<const std::chrono::microseconds> end_to_end) {
  std::array<std::uint32_t, kEndToEndMicros.size() + 1> counts{};
  std::int64_t sum = 0;
  for (const auto latency : end_to_end) {
    const std::int64_t micros =
        std::max<std::int64_t>(latency.count(), 0);  // the database's clock may be ahead
    const auto bound = std::lower_bound(kEndToEndMicros.begin(), kEndToEndMicros.end(), micros);
    ++counts[static_cast<std::size_t>(bound - kEndToEndMicros.begin())];
    sum += micros;
  }
  series_->published.Increment(static_cast<double>(end_to_end.size()));
  series_->end_to_end.ObserveMultiple({counts.begin(), counts.end()},
                                      static_cast<double>(sum) / 1e6);
}

void Metrics::publish_failed(std::string_view reason, std::size_t events) {
  known_or_other(series_->publish_failures, reason).Increment(static_cast<double>(events));
}

void Metrics::batch_read(std::size_t events) {
  series_->batch_size.Observe(static_cast<double>(events));
}
void Metrics::shards_held(std::size_t shards) { series_->shards.Set(static_cast<double>(shards)); }
void Metrics::lease_lost(std::size_t shards) {
  series_->leases_lost.Increment(static_cast<double>(shards));
}
void Metrics::producer_reopened() { series_->reopened.Increment(); }
void Metrics::queue_depth(std::size_t records) {
  series_->kafka_queue.Set(static_cast<double>(records));
}

// An estimate serves an alert as well as a count does: exact makes no difference here.
void Metrics::backlog(std::int64_t events, bool, std::chrono::duration<double> oldest_age) {
  series_->backlog_events.Set(static_cast<double>(std::max<std::int64_t>(events, 0)));
  const std::lock_guard lock(series_->mutex);
  series_->backlog_age = std::max(oldest_age, std::chrono::duration<double>(0));
  series_->backlog_measured_at = series_->clock.now();
}

void Metrics::dead_events(std::int64_t parked, std::int64_t aggregates) {
  series_->dead_events.Set(static_cast<double>(parked));
  series_->dead_aggregates.Set(static_cast<double>(aggregates));
  series_->queues.outbox_dead_letters(parked);
}

void Metrics::query_finished(std::string_view name, std::chrono::duration<double> duration) {
  known_or_other(series_->queries, name).Observe(duration.count());
}

void Metrics::postgres_up(bool up) { series_->postgres_up.Set(up ? 1 : 0); }
void Metrics::kafka_up(bool up) {
  series_->gauge("relevo_kafka_up", "1 while Kafka answers.").Set(up ? 1 : 0);
}

worker::Metrics& Metrics::worker() { return series_->part(series_->worker); }
worker::ScheduleMetrics& Metrics::schedules() { return series_->part(series_->schedules); }
worker::ConsumerMetrics& Metrics::consumers() { return series_->part(series_->consumers); }
webhook::EndpointMetrics& Metrics::endpoints() { return series_->part(series_->endpoints); }
QueueMetrics& Metrics::queues() { return series_->queues; }

std::string Metrics::scrape() {
  const std::lock_guard lock(series_->mutex);
  series_->refresh_age();
  series_->queues.refresh_ages();
  series_->refresh_process();
  return prometheus::TextSerializer{}.Serialize(series_->registry.Collect());
}

}  // namespace relevo::metrics
