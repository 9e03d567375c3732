// The series of metrics::QueueMetrics, and the dead letters of the outbox beside the others.
#pragma once

#include <map>
#include <mutex>
#include <string>

#include "families.hpp"
#include "relevo/core/clock.hpp"
#include "relevo/metrics/queue_metrics.hpp"

namespace relevo::metrics {

class QueueSeries final : public QueueMetrics {
 public:
  QueueSeries(prometheus::Registry& registry, const core::Clock& clock);

  void queues(std::span<const QueueDepth> depths, std::chrono::duration<double> fresh_for) override;
  void dead_letters(std::span<const DeadLetters> letters) override;

  void outbox_dead_letters(std::int64_t count);
  void refresh_ages();  // before a scrape

 private:
  struct Queue {
    Gauge* ready = nullptr;
    Gauge* oldest_age = nullptr;
    double jobs = 0;
    double age = 0;  // when measured
  };

  void show_dead_letters();

  const core::Clock& clock_;
  std::mutex mutex_;
  OpenLabels<Queue, 1> queues_;
  OpenGauges dead_letters_;
  std::chrono::duration<double> fresh_for_{0};
  core::BootTime measured_at_{};
  std::int64_t of_outbox_ = 0;
  std::map<std::string, std::int64_t, std::less<>> of_others_;
};

}  // namespace relevo::metrics
