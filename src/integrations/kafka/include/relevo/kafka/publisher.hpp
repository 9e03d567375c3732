// relay::Publisher over librdkafka: idempotent, acks=all, retries without limit, Java's
// partitioner.
//
// At most max_in_flight records and some 16 MiB are in flight; beyond that send() says kFull.
// Topics are looked up on first use (up to 2 s); what is known of them is refreshed without
// blocking. When a topic with a small max.message.bytes appears, send() says kFull until everything
// in flight is reported, and goes on with batches that this topic takes. One thread calls
// everything.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "relevo/core/clock.hpp"
#include "relevo/core/log.hpp"
#include "relevo/kafka/client_options.hpp"
#include "relevo/relay/publisher.hpp"

namespace relevo::kafka {

class EmbeddedKafka;

struct TopicCreation {
  bool create = false;
  std::int32_t partitions = 6;
  std::int16_t replication = -1;  // -1: the broker's default
};

struct PublisherOptions {
  ClientOptions client;
  TopicCreation topics;
  std::size_t max_in_flight = 20'000;
  // Set when the cluster is this one: topics are then created by it. Borrowed for the publisher's
  // life.
  EmbeddedKafka* embedded = nullptr;
};

class KafkaPublisher final : public relay::Publisher {
 public:
  // Does not wait for a broker. Throws IntegrationError kMisconfigured for wrong properties.
  KafkaPublisher(PublisherOptions options, core::Log& log,
                 const core::Clock& clock = core::system_clock());
  ~KafkaPublisher() override;  // what is in flight is given up

  [[nodiscard]] relay::SendResult send(const relay::Record& record, relay::Ticket ticket) override;
  [[nodiscard]] bool collect(std::chrono::milliseconds wait,
                             std::vector<relay::Report>& reports) override;
  std::string last_error() const override;
  [[nodiscard]] relay::SendResult probe_topic(const std::string& topic) override;
  bool reachable() const override;
  std::size_t in_flight() const override;
  void reopen() override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace relevo::kafka
