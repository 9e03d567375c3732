// Messages of a subscription whose handler is at the other end of an HTTP endpoint:
// docs/handlers.md has the contract. The messages of one call go out side by side, as many as the
// endpoint takes. Thread-safe; borrows the endpoint.
#pragma once

#include <string>

#include "relevo/webhook/endpoint.hpp"
#include "relevo/worker/handler.hpp"

namespace relevo::webhook {

class HttpMessageHandler final : public worker::MessageHandler {
 public:
  HttpMessageHandler(HttpEndpoint& endpoint, std::string subscription)
      : endpoint_(endpoint), subscription_(std::move(subscription)) {}

  // Returns when every call has ended; soon after context.stop() is set. Messages that were not
  // sent, since the endpoint is down, are snoozed.
  std::vector<worker::Outcome> run(std::span<const worker::Message> messages,
                                   worker::Context& context) override;

 private:
  HttpCall call_of(const worker::Message& message) const;

  HttpEndpoint& endpoint_;
  const std::string subscription_;
};

}  // namespace relevo::webhook
