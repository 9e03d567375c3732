#include "broker_requests.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <memory>
#include <string_view>
#include <vector>

namespace relevo::kafka {
namespace {

using Metadata =
    std::unique_ptr<const struct rd_kafka_metadata, Deleter<rd_kafka_metadata_destroy>>;
using AdminOptions =
    std::unique_ptr<rd_kafka_AdminOptions_t, Deleter<rd_kafka_AdminOptions_destroy>>;
using NewTopicHandle = std::unique_ptr<rd_kafka_NewTopic_t, Deleter<rd_kafka_NewTopic_destroy>>;
using ConfigResource =
    std::unique_ptr<rd_kafka_ConfigResource_t, Deleter<rd_kafka_ConfigResource_destroy>>;

struct FreeText {
  void operator()(char* text) const { rd_kafka_mem_free(nullptr, text); }
};

AdminOptions admin_options(rd_kafka_t* client, rd_kafka_admin_op_t operation, Millis timeout) {
  AdminOptions options(rd_kafka_AdminOptions_new(client, operation));
  std::array<char, 256> text{};
  rd_kafka_AdminOptions_set_request_timeout(options.get(), std::max(1, to_timeout(timeout)),
                                            text.data(), text.size());
  return options;
}

CreateAnswer failed(rd_kafka_resp_err_t error, const char* text) {
  return {
      .error = error, .answered = false, .text = text != nullptr ? text : rd_kafka_err2str(error)};
}

}  // namespace

int to_timeout(Millis time) {
  return static_cast<int>(
      std::clamp<Millis::rep>(time.count(), 0, std::numeric_limits<int>::max()));
}

bool ask_brokers(rd_kafka_t* client, Millis timeout) {
  const struct rd_kafka_metadata* raw = nullptr;
  const auto error = rd_kafka_metadata(client, 0, nullptr, &raw, to_timeout(timeout));
  const Metadata metadata(raw);
  return error == RD_KAFKA_RESP_ERR_NO_ERROR;
}

TopicMetadata ask_topic(rd_kafka_t* client, rd_kafka_topic_t* topic, Millis timeout) {
  const struct rd_kafka_metadata* raw = nullptr;
  const auto error = rd_kafka_metadata(client, 0, topic, &raw, to_timeout(timeout));
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) return {.error = error};
  const Metadata metadata(raw);
  if (metadata->topic_cnt != 1) return {.error = RD_KAFKA_RESP_ERR__BAD_MSG};
  const auto& found = metadata->topics[0];
  return {.error = found.err, .answered = true, .partitions = found.partition_cnt};
}

CreateAnswer create_topic(rd_kafka_t* client, const NewTopic& topic, Millis timeout) {
  std::array<char, 256> text{};
  NewTopicHandle wanted(rd_kafka_NewTopic_new(topic.name.c_str(), topic.partitions,
                                              topic.replication, text.data(), text.size()));
  if (!wanted) {
    return {.error = RD_KAFKA_RESP_ERR__INVALID_ARG, .answered = true, .text = text.data()};
  }
  const auto options = admin_options(client, RD_KAFKA_ADMIN_OP_CREATETOPICS, timeout);
  const Queue answers(rd_kafka_queue_new(client));
  rd_kafka_NewTopic_t* one = wanted.get();
  rd_kafka_CreateTopics(client, &one, 1, options.get(), answers.get());
  const Event event(rd_kafka_queue_poll(answers.get(), to_timeout(timeout)));
  if (!event) return failed(RD_KAFKA_RESP_ERR__TIMED_OUT, nullptr);
  if (const auto error = rd_kafka_event_error(event.get())) {
    return failed(error, rd_kafka_event_error_string(event.get()));
  }
  std::size_t count = 0;
  const auto* result = rd_kafka_event_CreateTopics_result(event.get());
  const auto** topics = rd_kafka_CreateTopics_result_topics(result, &count);
  if (count != 1) return failed(RD_KAFKA_RESP_ERR__BAD_MSG, nullptr);
  const auto error = rd_kafka_topic_result_error(topics[0]);
  const char* said = rd_kafka_topic_result_error_string(topics[0]);
  return {
      .error = error, .answered = true, .text = said != nullptr ? said : rd_kafka_err2str(error)};
}

void request_limits(rd_kafka_t* client, std::span<const std::string> topics, Millis timeout,
                    rd_kafka_queue_t* answers) {
  std::vector<ConfigResource> owned;
  std::vector<rd_kafka_ConfigResource_t*> resources;
  for (const std::string& topic : topics) {
    owned.emplace_back(rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic.c_str()));
    resources.push_back(owned.back().get());
  }
  const auto options = admin_options(client, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, timeout);
  rd_kafka_DescribeConfigs(client, resources.data(), resources.size(), options.get(), answers);
}

std::optional<TopicLimit> limit_of(const rd_kafka_ConfigResource_t* resource) {
  if (rd_kafka_ConfigResource_type(resource) != RD_KAFKA_RESOURCE_TOPIC) return std::nullopt;
  TopicLimit limit{.topic = rd_kafka_ConfigResource_name(resource),
                   .max_message_bytes = std::nullopt};
  if (rd_kafka_ConfigResource_error(resource) != RD_KAFKA_RESP_ERR_NO_ERROR) return limit;
  std::size_t count = 0;
  const auto** entries = rd_kafka_ConfigResource_configs(resource, &count);
  for (const auto* entry : std::span(entries, count)) {
    if (std::string_view(rd_kafka_ConfigEntry_name(entry)) != "max.message.bytes") continue;
    const char* value = rd_kafka_ConfigEntry_value(entry);
    if (value == nullptr) continue;
    const std::string_view text(value);
    std::size_t bytes = 0;
    if (std::from_chars(text.data(), text.data() + text.size(), bytes).ec == std::errc{}) {
      limit.max_message_bytes = bytes;
    }
  }
  return limit;
}

std::string cluster_id(rd_kafka_t* client) {
  const std::unique_ptr<char, FreeText> id(rd_kafka_clusterid(client, 0));
  return id != nullptr ? std::string(id.get()) : std::string();
}

bool is_mock_cluster(rd_kafka_t* client) { return cluster_id(client).starts_with("mockCluster"); }

}  // namespace relevo::kafka
