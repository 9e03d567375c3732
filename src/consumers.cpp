#include "consumers.hpp"

#include <algorithm>

#include "relevo/kafka/consumer.hpp"
#include "relevo/postgres/message_store.hpp"
#include "relevo/worker/envelope.hpp"

namespace relevo {
namespace {

worker::ConsumerOptions options_of(const config::Config& config,
                                   const config::Subscription& subscription) {
  worker::ConsumerOptions options;
  options.subscription = subscription.name;
  options.envelope = worker::envelope_of(subscription.envelope).value_or(worker::Envelope::kAuto);
  options.types = subscription.types;
  options.park_unknown = subscription.unknown == "dead_letter";
  options.concurrency = subscription.concurrency;
  options.batch_size = static_cast<std::size_t>(subscription.batch_size);
  options.max_attempts = subscription.max_attempts;
  // Each call of an endpoint has a limit of its own.
  if (!subscription.http) options.timeout = subscription.timeout;
  options.give_up = config.worker.give_up;
  options.drain = config.shutdown.grace * 3 / 4;
  return options;
}

kafka::ConsumerOptions source_of(const config::Config& config,
                                 const config::Subscription& subscription,
                                 const kafka::ClientOptions& client) {
  kafka::ConsumerOptions options;
  options.client = client;
  options.group = subscription.group.empty() ? "relevo." + subscription.name : subscription.group;
  options.topics = subscription.topics;
  if (subscription.start == "latest") options.start = kafka::ConsumerOptions::Start::kEnd;
  options.instance_id = config.instance;
  return options;
}

}  // namespace

Consumers::Consumers(const config::Config& config, const kafka::PublisherOptions& kafka,
                     const postgres::ConnectOptions& database, const HandlerSet& handlers,
                     worker::ConsumerMetrics& metrics, core::Log& log, const core::Clock& clock,
                     const std::function<void()>& replace) {
  for (const auto& subscription : config.subscriptions) {
    Part part;
    part.subscription = subscription.name;
    if (!subscription.dead_letter_topic.empty()) {
      part.dead_letters = std::make_unique<kafka::DeadLetterTopic>(subscription.dead_letter_topic,
                                                                   kafka, log, clock);
    }
    auto source = source_of(config, subscription, kafka.client);
    part.consumer = std::make_unique<worker::Consumer>(
        options_of(config, subscription),
        worker::Consumer::Ports{
            [source = std::move(source), &log, &clock] {
              return std::make_unique<kafka::KafkaConsumer>(source, log, clock);
            },
            [database] { return std::make_unique<postgres::MessageStore>(database); },
            handlers.messages(subscription), part.dead_letters.get(), metrics, log, clock,
            replace});
    parts_.push_back(std::move(part));
  }
}

void Consumers::start() {
  for (auto& part : parts_) part.consumer->start();
}

// All at once: each may take its time to end what runs.
void Consumers::stop() {
  std::vector<std::thread> stopping;
  for (auto& part : parts_) {
    stopping.emplace_back([&part] { part.consumer->stop(); });
  }
  for (auto& thread : stopping) thread.join();
}

std::vector<std::string> Consumers::problems() const {
  std::vector<std::string> problems;
  for (const auto& part : parts_) {
    if (const auto problem = part.consumer->problem()) {
      problems.push_back(part.subscription + ": " + *problem);
    }
  }
  return problems;
}

bool Consumers::ready() const {
  return std::all_of(parts_.begin(), parts_.end(),
                     [](const Part& part) { return part.consumer->ready(); });
}

std::vector<Consumers::Named> Consumers::heartbeats() const {
  std::vector<Named> all;
  for (const auto& part : parts_) all.push_back({part.subscription, part.consumer->heartbeat()});
  return all;
}

}  // namespace relevo
