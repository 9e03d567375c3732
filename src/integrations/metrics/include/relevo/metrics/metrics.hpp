// The metrics of the process for Prometheus; docs/metrics.md lists them. Series that can be known
// exist from the first scrape, with 0, so that rates and absence can be alerted on; label values
// are closed sets, or at most 200 of those that come along ("other" catches the rest).
//
// Itself the relay's port; the ports of the other parts are asked for, live as long as it does, and
// have series from then on: a process shows none of a part that it does not run. Thread-safe; the
// verbs never throw.
#pragma once

#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "relevo/core/clock.hpp"
#include "relevo/metrics/queue_metrics.hpp"
#include "relevo/relay/metrics.hpp"

namespace relevo::worker {
class Metrics;
class ScheduleMetrics;
class ConsumerMetrics;
}  // namespace relevo::worker

namespace relevo::webhook {
class EndpointMetrics;
}

namespace relevo::metrics {

class Metrics final : public relay::Metrics {
 public:
  // query_names: the statements that query_finished() will name. Borrows clock for its life.
  Metrics(std::string_view version, std::span<const std::string_view> query_names,
          const core::Clock& clock);
  ~Metrics() override;

  void published(std::span<const std::chrono::microseconds> end_to_end) override;
  void publish_failed(std::string_view reason, std::size_t events) override;
  void batch_read(std::size_t events) override;
  void shards_held(std::size_t shards) override;
  void lease_lost(std::size_t shards) override;
  void producer_reopened() override;
  void queue_depth(std::size_t records) override;
  void backlog(std::int64_t events, bool exact, std::chrono::duration<double> oldest_age) override;
  void dead_events(std::int64_t parked, std::int64_t aggregates) override;

  void query_finished(std::string_view name, std::chrono::duration<double> duration);
  void postgres_up(bool up);
  void kafka_up(bool up);  // not called where nothing needs Kafka: its series is then missing

  worker::Metrics& worker();
  worker::ScheduleMetrics& schedules();
  worker::ConsumerMetrics& consumers();
  webhook::EndpointMetrics& endpoints();
  QueueMetrics& queues();

  // Text format 0.0.4. Reads the figures of the process at the time of the call.
  std::string scrape();

 private:
  struct Series;
  std::unique_ptr<Series> series_;
};

}  // namespace relevo::metrics
