// The series of webhook::EndpointMetrics.
#pragma once

#include <mutex>

#include "families.hpp"
#include "relevo/webhook/endpoint.hpp"
#include "sampled_histogram.hpp"

namespace relevo::metrics {

class EndpointSeries final : public webhook::EndpointMetrics {
 public:
  explicit EndpointSeries(prometheus::Registry& registry);

  void http_finished(std::string_view endpoint, std::string_view code,
                     std::chrono::microseconds duration) override;
  void breaker_changed(std::string_view endpoint, worker::CircuitBreaker::State state) override;

 private:
  SampledHistogram<2> http_;
  std::mutex mutex_;
  OpenGauges breaker_;
};

}  // namespace relevo::metrics
