// For commands that have no page to show the metrics of HTTP handlers on.
#pragma once

#include "relevo/webhook/endpoint.hpp"

namespace relevo::cli {

class NoEndpointMetrics final : public webhook::EndpointMetrics {
 public:
  void http_finished(std::string_view, std::string_view, std::chrono::microseconds) override {}
  void breaker_changed(std::string_view, worker::CircuitBreaker::State) override {}
};

}  // namespace relevo::cli
