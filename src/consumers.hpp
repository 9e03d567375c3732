// Everything the role `consumer` needs: one worker::Consumer per subscription of the configuration,
// with its member of the consumer group, its store and its dead letter topic.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "handler_set.hpp"
#include "relevo/config/config.hpp"
#include "relevo/kafka/dead_letter_topic.hpp"
#include "relevo/postgres/connection.hpp"
#include "relevo/worker/consumer.hpp"
#include "wiring.hpp"

namespace relevo {

class Consumers {
 public:
  Consumers(const config::Config& config, const kafka::PublisherOptions& kafka,
            const postgres::ConnectOptions& database, const HandlerSet& handlers,
            worker::ConsumerMetrics& metrics, core::Log& log, const core::Clock& clock,
            const std::function<void()>& replace);

  void start();
  void stop();
  // Of subscriptions that only a person can set going again: what is wrong.
  std::vector<std::string> problems() const;
  bool ready() const;

  struct Named {
    std::string subscription;
    const core::Heartbeat& heartbeat;
  };
  std::vector<Named> heartbeats() const;

 private:
  struct Part {
    std::string subscription;
    std::unique_ptr<kafka::DeadLetterTopic> dead_letters;
    std::unique_ptr<worker::Consumer> consumer;
  };
  std::vector<Part> parts_;
};

}  // namespace relevo
