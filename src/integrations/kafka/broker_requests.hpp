// Requests about topics to a cluster, each bounded in time. Included by the sources of this folder
// only.
#pragma once

#include <librdkafka/rdkafka.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "client.hpp"

namespace relevo::kafka {

using Millis = std::chrono::milliseconds;

// librdkafka takes int milliseconds, where negative means for ever.
int to_timeout(Millis time);

// Whether a broker answers at all.
bool ask_brokers(rd_kafka_t* client, Millis timeout);

struct TopicMetadata {
  rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR_NO_ERROR;  // of the request or of the topic
  bool answered = false;                                   // false: no broker said anything
  int partitions = 0;
};

TopicMetadata ask_topic(rd_kafka_t* client, rd_kafka_topic_t* topic, Millis timeout);

struct NewTopic {
  std::string name;
  std::int32_t partitions = 0;
  std::int16_t replication = -1;
};

struct CreateAnswer {
  rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR_NO_ERROR;
  bool answered = false;
  std::string text;
};

CreateAnswer create_topic(rd_kafka_t* client, const NewTopic& topic, Millis timeout);

// Asks for the configuration of topics; the answer comes as an event of type
// DESCRIBECONFIGS_RESULT.
void request_limits(rd_kafka_t* client, std::span<const std::string> topics, Millis timeout,
                    rd_kafka_queue_t* answers);

struct TopicLimit {
  std::string topic;
  std::optional<std::size_t> max_message_bytes;  // nullopt: not told (no right, topic gone)
};

// Calls visit(TopicLimit) for each topic of the answer. The error of the whole request, if any.
template <typename Visit>
rd_kafka_resp_err_t read_limits(rd_kafka_event_t* event, Visit visit);

std::optional<TopicLimit> limit_of(const rd_kafka_ConfigResource_t* resource);

template <typename Visit>
rd_kafka_resp_err_t read_limits(rd_kafka_event_t* event, Visit visit) {
  const auto error = rd_kafka_event_error(event);
  const auto* result = rd_kafka_event_DescribeConfigs_result(event);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR || result == nullptr) return error;
  std::size_t count = 0;
  const auto** resources = rd_kafka_DescribeConfigs_result_resources(result, &count);
  for (const auto* resource : std::span(resources, count)) {
    if (auto limit = limit_of(resource)) visit(*limit);
  }
  return RD_KAFKA_RESP_ERR_NO_ERROR;
}

// As the last metadata told; empty when there was none yet.
std::string cluster_id(rd_kafka_t* client);

// librdkafka's mock cluster, in whatever process: it knows no admin requests, and lets them time
// out.
bool is_mock_cluster(rd_kafka_t* client);

}  // namespace relevo::kafka
