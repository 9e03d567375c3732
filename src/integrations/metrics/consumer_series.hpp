// The series of worker::ConsumerMetrics.
#pragma once

#include <map>
#include <mutex>

#include "families.hpp"
#include "relevo/worker/consumer_metrics.hpp"

namespace relevo::metrics {

class ConsumerSeries final : public worker::ConsumerMetrics {
 public:
  explicit ConsumerSeries(prometheus::Registry& registry);

  void consumer_lag(std::string_view subscription, std::int64_t messages) override;
  void inbox_duplicates(std::size_t messages) override;
  void dead_letter(std::string_view source) override;
  void messages_finished(std::string_view outcome, std::size_t messages,
                         std::chrono::duration<double> duration) override;
  void unknown_type(std::string_view subscription) override;

 private:
  std::mutex mutex_;
  OpenGauges lag_;
  OpenCounters parked_;
  OpenCounters unknown_type_;
  std::map<std::string, Counter*, std::less<>> finished_;  // by outcome
  const Histogram::BucketBoundaries bounds_ = work_bounds();
  Histogram& duration_;
  Counter& duplicates_;
};

}  // namespace relevo::metrics
