// The message handler of subscriptions with `enqueue`: each message becomes a job of the configured
// kind with the message's payload. The record's key is the job's concurrency key, so jobs of one
// key run in order; headers tell of the event: event_id, event_type, topic. A message without a
// JSON payload cannot become a job and is dead; a tombstone becomes a job with payload null.
#pragma once

#include <string>

#include "relevo/worker/handler.hpp"

namespace relevo::worker {

class MessageJobs final : public MessageHandler {
 public:
  explicit MessageJobs(std::string kind) : kind_(std::move(kind)) {}

  std::vector<Outcome> run(std::span<const Message> messages, Context& context) override;
  bool several_of_a_key() const override { return true; }

 private:
  const std::string kind_;
};

}  // namespace relevo::worker
