// What is known of the topics: existence (asked on first use, created if wanted), the largest batch
// each takes, and librdkafka's handle for it. Included by the sources of this folder only.
//
// lookup() blocks up to 2 s; find() and refresh() never do. Borrows the producer between attach()
// and detach(); what is known survives a change of producer.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "broker_requests.hpp"
#include "client.hpp"
#include "relevo/core/clock.hpp"
#include "relevo/kafka/publisher.hpp"

namespace relevo::kafka {

struct Topic {
  std::string name;
  TopicHandle handle;  // null until it is used with the present producer
  std::optional<std::size_t> max_message_bytes;
  core::BootTime limit_asked;
  bool used = false;  // since the limit was last asked
};

class TopicDirectory {
 public:
  TopicDirectory(const TopicCreation& creation, bool auto_creation, EmbeddedKafka* embedded,
                 const core::Clock& clock);

  void attach(rd_kafka_t* producer, rd_kafka_queue_t* answers);
  void detach();  // before the producer is destroyed

  // The topic if it is known to exist.
  Topic* find(std::string_view name);

  // Asks the broker, creating the topic if so configured. kAccepted: find() knows it from now on.
  // An answer "does not exist" is repeated for a second without asking, unless asked to.
  enum class Ask { kWhenNotKnown, kAlways };
  relay::SendResult lookup(std::string_view name, Ask when);

  void forget(std::string_view name);

  // Asks for the limits that are older than a minute; the answer comes to `answers` of attach() and
  // is to be handed to learn().
  void refresh();
  void learn(rd_kafka_event_t* limits);

  // Asks for one topic's limit now, up to a second. Left as it is if the cluster does not tell.
  void ask_limit(Topic& topic);

  // Smallest limit of all topics known to exist.
  std::optional<std::size_t> smallest_limit() const { return smallest_limit_; }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>{}(text);
    }
  };
  template <typename Value>
  using ByName = std::unordered_map<std::string, Value, Hash, std::equal_to<>>;

  struct Refusal {
    relay::SendResult result;
    core::BootTime until;
  };

  relay::SendResult ask(const std::string& name, rd_kafka_topic_t* handle);
  relay::SendResult create(const std::string& name, std::chrono::steady_clock::time_point deadline);
  relay::SendResult await_topic(rd_kafka_topic_t* handle,
                                std::chrono::steady_clock::time_point deadline);
  relay::SendResult unavailable(rd_kafka_resp_err_t error);
  Topic& remember(const std::string& name, TopicHandle handle);
  void refuse(const std::string& name, const relay::SendResult& result);
  void update_smallest_limit();
  bool tells_limits();

  TopicCreation creation_;
  bool auto_creation_;
  EmbeddedKafka* embedded_;
  const core::Clock& clock_;
  rd_kafka_t* producer_ = nullptr;
  rd_kafka_queue_t* answers_ = nullptr;
  ByName<Topic> topics_;
  ByName<Refusal> refused_;
  std::optional<std::size_t> smallest_limit_;
  core::BootTime silent_until_;     // no broker answered just now
  core::BootTime no_limits_until_;  // the cluster does not answer requests for limits
};

// Kafka's rule for names.
bool is_legal_topic(std::string_view name);

}  // namespace relevo::kafka
