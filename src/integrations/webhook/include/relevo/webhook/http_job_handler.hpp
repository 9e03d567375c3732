// Jobs whose handler is at the other end of an HTTP endpoint, in any language: docs/handlers.md has
// the contract. Thread-safe; borrows the endpoint.
#pragma once

#include "relevo/webhook/endpoint.hpp"
#include "relevo/worker/remote_handler.hpp"

namespace relevo::webhook {

class HttpJobHandler final : public worker::RemoteHandler {
 public:
  explicit HttpJobHandler(HttpEndpoint& endpoint) : endpoint_(endpoint) {}

  std::size_t room() const override { return endpoint_.room(); }
  bool probes() const override { return endpoint_.probes(); }
  // Without room (somebody else was faster) the job is snoozed.
  void start(const worker::Job& job, std::chrono::milliseconds timeout, Finished finished) override;
  void abandon(const worker::Job& job) override;

 private:
  HttpEndpoint& endpoint_;
};

}  // namespace relevo::webhook
