#include "endpoint_series.hpp"

namespace relevo::metrics {
namespace {

Histogram::BucketBoundaries http_bounds() {
  return {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60, 300};
}

double number_of(worker::CircuitBreaker::State state) {
  switch (state) {
    case worker::CircuitBreaker::State::kClosed: return 0;
    case worker::CircuitBreaker::State::kHalfOpen: return 1;
    case worker::CircuitBreaker::State::kOpen: return 2;
  }
  return 0;
}

}  // namespace

EndpointSeries::EndpointSeries(prometheus::Registry& registry)
    : http_(histograms(registry, "relevo_handler_http_seconds",
                       "Calls of endpoints, by status or what went wrong instead."),
            {"endpoint", "code"}, http_bounds()),
      breaker_(open_gauges(registry, "relevo_handler_breaker_state",
                           "Circuit breaker: 0 closed, 1 half-open, 2 open.", "endpoint")) {}

void EndpointSeries::http_finished(std::string_view endpoint, std::string_view code,
                                   std::chrono::microseconds duration) {
  http_.observe({endpoint, code}, duration);
}

void EndpointSeries::breaker_changed(std::string_view endpoint,
                                     worker::CircuitBreaker::State state) {
  const std::lock_guard lock(mutex_);
  breaker_.of({endpoint})->Set(number_of(state));
}

}  // namespace relevo::metrics
