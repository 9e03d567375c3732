// The handlers of this process: those of its contexts, those the configuration reaches by HTTP, and
// the rules of their kinds.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "relevo/config/config.hpp"
#include "relevo/core/clock.hpp"
#include "relevo/core/log.hpp"
#include "relevo/webhook/endpoint.hpp"
#include "relevo/webhook/http_client.hpp"
#include "relevo/worker/registry.hpp"

namespace relevo {

class HandlerSet {
 public:
  // Throws core::IntegrationError (kMisconfigured) that says which handler is wrong and why.
  HandlerSet(const config::Config& config, webhook::EndpointMetrics& metrics, core::Log& log,
             const core::Clock& clock);
  ~HandlerSet();

  const worker::Registry& registry() const { return registry_; }
  // The handler a subscription names, or the one that sends to its endpoint, or enqueues its jobs.
  worker::MessageHandler& messages(const config::Subscription& subscription) const;

  // The thread of HTTP handlers.
  void start();
  void stop();

 private:
  webhook::HttpEndpoint& endpoint(const std::string& name, const config::HttpHandler& http);
  void add_contexts();
  void add_http(const config::Config& config);
  void add_subscriptions(const config::Config& config);
  void apply_policies(const config::Config& config);

  webhook::EndpointMetrics& metrics_;
  core::Log& log_;
  const core::Clock& clock_;
  webhook::HttpClient client_;
  std::vector<std::unique_ptr<webhook::HttpEndpoint>> endpoints_;
  worker::Registry registry_;
};

}  // namespace relevo
