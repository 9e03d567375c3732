#include "topic_directory.hpp"

#include <algorithm>
#include <thread>
#include <utility>
#include <vector>

#include "relevo/core/error.hpp"
#include "relevo/kafka/embedded.hpp"

namespace relevo::kafka {
namespace {

using namespace std::chrono_literals;
using relay::Send;
using relay::SendResult;

constexpr auto kLookupTime = 2s;
constexpr auto kLimitTime = 1s;
constexpr auto kLimitLife = 60s;
constexpr auto kRefusalLife = 1s;
constexpr auto kSilenceLife = 500ms;
constexpr auto kNoLimitsLife = 10min;
constexpr auto kAutoCreationTime = 500ms;
constexpr auto kAskAgain = 10ms;
constexpr std::size_t kLongestName = 249;
constexpr std::size_t kRefusalsKept = 1'000;
constexpr std::size_t kTopicsPerRefresh = 100;

// Of waiting, which is not by the clock handed in.
using Deadline = std::chrono::steady_clock::time_point;

Millis left(Deadline deadline) {
  return std::max(Millis(1), std::chrono::duration_cast<Millis>(deadline - Deadline::clock::now()));
}

bool is_legal_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

bool exists(const TopicMetadata& topic) {
  return topic.error == RD_KAFKA_RESP_ERR_NO_ERROR ||
         (topic.answered && topic.partitions > 0 &&
          topic.error == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE);
}

// Asked again, it may be there: just created, not yet known to the broker that was asked.
bool may_appear(const TopicMetadata& topic) {
  return topic.error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
         topic.error == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE ||
         topic.error == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC;
}

}  // namespace

bool is_legal_topic(std::string_view name) {
  return !name.empty() && name.size() <= kLongestName && name != "." && name != ".." &&
         std::ranges::all_of(name, is_legal_character);
}

TopicDirectory::TopicDirectory(const TopicCreation& creation, bool auto_creation,
                               EmbeddedKafka* embedded, const core::Clock& clock)
    : creation_(creation), auto_creation_(auto_creation), embedded_(embedded), clock_(clock) {}

void TopicDirectory::attach(rd_kafka_t* producer, rd_kafka_queue_t* answers) {
  producer_ = producer;
  answers_ = answers;
}

void TopicDirectory::detach() {
  for (auto& [name, topic] : topics_) topic.handle.reset();
  producer_ = nullptr;
  answers_ = nullptr;
}

Topic* TopicDirectory::find(std::string_view name) {
  const auto found = topics_.find(name);
  if (found == topics_.end()) return nullptr;
  Topic& topic = found->second;
  topic.used = true;
  if (!topic.handle) topic.handle.reset(rd_kafka_topic_new(producer_, topic.name.c_str(), nullptr));
  return &topic;
}

void TopicDirectory::forget(std::string_view name) {
  const auto found = topics_.find(name);
  if (found == topics_.end()) return;
  topics_.erase(found);
  update_smallest_limit();
}

SendResult TopicDirectory::lookup(std::string_view name, Ask when) {
  if (!is_legal_topic(name)) {
    return {Send::kInvalidTopic, "not a legal topic name: 1 to 249 of a-z A-Z 0-9 . _ - wanted"};
  }
  const auto now = clock_.now();
  if (when == Ask::kWhenNotKnown) {
    const auto refused = refused_.find(name);
    if (refused != refused_.end() && now < refused->second.until) return refused->second.result;
    if (now < silent_until_) return unavailable(RD_KAFKA_RESP_ERR__TRANSPORT);
  }

  const std::string topic(name);
  if (embedded_ != nullptr && creation_.create) {
    // Before anything asks for it: the embedded broker creates what is asked for, with 4
    // partitions.
    embedded_->create_topic(topic, creation_.partitions);
  }
  TopicHandle handle(rd_kafka_topic_new(producer_, topic.c_str(), nullptr));
  SendResult result = ask(topic, handle.get());
  if (result.status == Send::kAccepted) {
    refused_.erase(topic);
    Topic* known = find(topic);
    const bool is_new = known == nullptr;
    if (is_new) known = &remember(topic, std::move(handle));
    if (is_new || when == Ask::kAlways) ask_limit(*known);
  } else if (result.status != Send::kUnavailable) {
    forget(topic);
    refuse(topic, result);
  }
  return result;
}

SendResult TopicDirectory::ask(const std::string& name, rd_kafka_topic_t* handle) {
  const auto deadline = Deadline::clock::now() + kLookupTime;
  auto metadata = ask_topic(producer_, handle, left(deadline));
  if (!metadata.answered) {
    silent_until_ = clock_.now() + kSilenceLife;
    return unavailable(metadata.error);
  }
  silent_until_ = {};
  if (exists(metadata)) return {};

  switch (metadata.error) {
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
      return {Send::kUnauthorized, rd_kafka_err2str(metadata.error)};
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
      return {Send::kInvalidTopic, rd_kafka_err2str(metadata.error)};
    default: break;
  }
  if (!may_appear(metadata)) return unavailable(metadata.error);
  if (creation_.create && !is_mock_cluster(producer_)) {
    const auto created = create(name, deadline);
    return created.status == Send::kAccepted ? await_topic(handle, deadline) : created;
  }
  if (auto_creation_) return await_topic(handle, Deadline::clock::now() + kAutoCreationTime);
  if (metadata.error == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE) return unavailable(metadata.error);
  return {Send::kUnknownTopic, "the topic does not exist"};
}

SendResult TopicDirectory::create(const std::string& name, Deadline deadline) {
  const auto answer = create_topic(
      producer_,
      {.name = name, .partitions = creation_.partitions, .replication = creation_.replication},
      left(deadline));
  if (answer.error == RD_KAFKA_RESP_ERR_NO_ERROR ||
      answer.error == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) {
    return {};
  }
  std::string text = "the topic cannot be created: " + answer.text;
  switch (answer.error) {
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
      return {Send::kUnauthorized, std::move(text)};
    case RD_KAFKA_RESP_ERR_NOT_CONTROLLER:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
    case RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED: return {Send::kUnavailable, std::move(text)};
    default: return {answer.answered ? Send::kUnknownTopic : Send::kUnavailable, std::move(text)};
  }
}

SendResult TopicDirectory::await_topic(rd_kafka_topic_t* handle, Deadline deadline) {
  for (;;) {
    const auto metadata = ask_topic(producer_, handle, std::max(left(deadline), kAskAgain));
    if (exists(metadata)) return {};
    if (Deadline::clock::now() >= deadline) {
      if (metadata.error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART && !creation_.create) {
        return {Send::kUnknownTopic, "the topic does not exist"};
      }
      return unavailable(metadata.error);
    }
    std::this_thread::sleep_for(kAskAgain);
  }
}

SendResult TopicDirectory::unavailable(rd_kafka_resp_err_t error) {
  return {Send::kUnavailable,
          std::string("the brokers cannot be asked about the topic: ") + rd_kafka_err2str(error)};
}

Topic& TopicDirectory::remember(const std::string& name, TopicHandle handle) {
  Topic& topic = topics_[name];
  topic.name = name;
  topic.used = true;
  topic.handle = std::move(handle);
  return topic;
}

void TopicDirectory::refuse(const std::string& name, const SendResult& result) {
  const auto now = clock_.now();
  if (refused_.size() >= kRefusalsKept) {
    std::erase_if(refused_, [now](const auto& entry) { return entry.second.until <= now; });
    if (refused_.size() >= kRefusalsKept) refused_.clear();
  }
  refused_[name] = {.result = result, .until = now + kRefusalLife};
}

bool TopicDirectory::tells_limits() {
  if (is_mock_cluster(producer_)) return false;
  return clock_.now() >= no_limits_until_;
}

void TopicDirectory::ask_limit(Topic& topic) {
  topic.limit_asked = clock_.now();
  topic.used = false;
  if (!tells_limits()) return;
  const Queue answers(rd_kafka_queue_new(producer_));
  request_limits(producer_, {&topic.name, 1}, kLimitTime, answers.get());
  const Event event(rd_kafka_queue_poll(answers.get(), to_timeout(kLimitTime)));
  if (!event) {
    no_limits_until_ = clock_.now() + kLimitLife;
    return;
  }
  learn(event.get());
}

void TopicDirectory::refresh() {
  if (!tells_limits()) return;
  const auto stale = clock_.now() - kLimitLife;
  std::vector<std::string> names;
  for (auto& [name, topic] : topics_) {
    if (!topic.used || topic.limit_asked > stale) continue;
    topic.limit_asked = clock_.now();
    topic.used = false;
    names.push_back(name);
    if (names.size() == kTopicsPerRefresh) break;
  }
  if (!names.empty()) request_limits(producer_, names, kLimitTime, answers_);
}

void TopicDirectory::learn(rd_kafka_event_t* limits) {
  const auto error = read_limits(limits, [this](const TopicLimit& limit) {
    const auto found = topics_.find(limit.topic);
    if (found != topics_.end()) found->second.max_message_bytes = limit.max_message_bytes;
  });
  if (error == RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE)
    no_limits_until_ = clock_.now() + kNoLimitsLife;
  if (error == RD_KAFKA_RESP_ERR__TIMED_OUT) no_limits_until_ = clock_.now() + kLimitLife;
  update_smallest_limit();
}

void TopicDirectory::update_smallest_limit() {
  smallest_limit_.reset();
  for (const auto& [name, topic] : topics_) {
    if (!topic.max_message_bytes) continue;
    smallest_limit_ =
        std::min(smallest_limit_.value_or(*topic.max_message_bytes), *topic.max_message_bytes);
  }
}

}  // namespace relevo::kafka
