// Serves /livez, /readyz (200 or 503), /metrics and an index page. For probes and scrapes inside a
// cluster: no authentication, nothing that changes anything. Each connection takes one request, so
// that idle ones cannot hold the few threads against the next probe. The endpoints are called from
// the server's threads, several at once, between start() and stop(); what they throw becomes a 500
// without its text. start() throws core::IntegrationError (kMisconfigured) when it cannot listen.
// Can be started again after a stop.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "relevo/core/service.hpp"
#include "relevo/http/health.hpp"

namespace relevo::http {

struct Endpoints {
  std::function<Health()> live;
  std::function<Health()> ready;
  std::function<std::string()> metrics;  // Prometheus text format 0.0.4
  std::string title;                     // on the index page: "relevo 0.1.0"
};

class HttpServer final : public core::Service {
 public:
  // listen: "host:port" as in http.listen; port 0 takes any free one.
  HttpServer(std::string listen, Endpoints endpoints);
  ~HttpServer() override;

  std::string_view name() const override { return "http"; }
  void start() override;
  void stop() override;

  std::uint16_t port() const;  // 0 unless started

 private:
  class Running;

  std::string listen_;
  Endpoints endpoints_;
  mutable std::mutex mutex_;
  std::unique_ptr<Running> running_;
};

}  // namespace relevo::http
