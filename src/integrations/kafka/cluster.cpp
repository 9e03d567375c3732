#include "relevo/kafka/cluster.hpp"

#include <librdkafka/rdkafka.h>

#include <algorithm>

#include "broker_requests.hpp"
#include "client.hpp"
#include "relevo/core/error.hpp"
#include "topic_directory.hpp"

namespace relevo::kafka {
namespace {

using namespace std::chrono_literals;
using Steady = std::chrono::steady_clock;
using Metadata =
    std::unique_ptr<const struct rd_kafka_metadata, Deleter<rd_kafka_metadata_destroy>>;

Millis left(Steady::time_point deadline) {
  return std::max(Millis(1), std::chrono::duration_cast<Millis>(deadline - Steady::now()));
}

// The first error of a connection; later ones ("all brokers down") say less.
std::string first_error(rd_kafka_queue_t* queue) {
  std::string found;
  while (const Event event{rd_kafka_queue_poll(queue, 0)}) {
    if (rd_kafka_event_type(event.get()) != RD_KAFKA_EVENT_ERROR || !found.empty()) continue;
    found = rd_kafka_event_error_string(event.get());
  }
  return found;
}

Metadata brokers_of(rd_kafka_t* client, const ClientOptions& options, Steady::time_point deadline) {
  const struct rd_kafka_metadata* raw = nullptr;
  const auto error = rd_kafka_metadata(client, 0, nullptr, &raw, to_timeout(left(deadline)));
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return Metadata(raw);
  const Queue queue = main_queue(client);
  std::string reason = first_error(queue.get());
  if (reason.empty()) reason = rd_kafka_err2str(error);
  throw core::IntegrationError(
      core::ErrorKind::kDisconnected, "ask kafka at " + options.bootstrap_servers,
      "no broker answered: " + reason +
          ". Check kafka.bootstrap_servers, the network and, if the brokers want "
          "TLS or a login, kafka.properties (security.protocol, sasl.*, ssl.*)");
}

TopicDescription describe_topic(rd_kafka_t* client, const std::string& name,
                                Steady::time_point deadline) {
  TopicDescription topic;
  topic.name = name;
  if (!is_legal_topic(name)) {
    topic.error = "not a legal topic name";
    return topic;
  }
  const TopicHandle handle(rd_kafka_topic_new(client, name.c_str(), nullptr));
  const auto metadata = ask_topic(client, handle.get(), left(deadline));
  topic.partitions = metadata.partitions;
  topic.exists = metadata.error == RD_KAFKA_RESP_ERR_NO_ERROR;
  if (!topic.exists) topic.error = rd_kafka_err2str(metadata.error);
  return topic;
}

void add_limits(rd_kafka_t* client, std::vector<TopicDescription>& topics,
                Steady::time_point deadline) {
  std::vector<std::string> names;
  for (const auto& topic : topics) {
    if (topic.exists) names.push_back(topic.name);
  }
  if (names.empty() || is_mock_cluster(client)) return;
  const Queue answers(rd_kafka_queue_new(client));
  request_limits(client, names, left(deadline), answers.get());
  const Event event(rd_kafka_queue_poll(answers.get(), to_timeout(left(deadline))));
  if (!event) return;
  (void)read_limits(event.get(), [&topics](const TopicLimit& limit) {
    const auto found = std::ranges::find(topics, limit.topic, &TopicDescription::name);
    if (found != topics.end()) found->max_message_bytes = limit.max_message_bytes;
  });
}

}  // namespace

ClusterDescription describe_cluster(const ClientOptions& options,
                                    std::span<const std::string> topics,
                                    std::chrono::milliseconds time) {
  const auto deadline = Steady::now() + time;
  const Client client =
      new_producer(options, {.max_in_flight = 1, .batch_size = configured_batch_size(options)});
  const auto metadata = brokers_of(client.get(), options, deadline);

  ClusterDescription cluster;
  for (const auto& broker :
       std::span(metadata->brokers, static_cast<std::size_t>(metadata->broker_cnt))) {
    cluster.brokers.push_back(
        {.id = broker.id, .address = std::string(broker.host) + ":" + std::to_string(broker.port)});
  }
  cluster.cluster_id = cluster_id(client.get());
  cluster.controller_id = rd_kafka_controllerid(client.get(), 0);
  for (const auto& name : topics) {
    cluster.topics.push_back(describe_topic(client.get(), name, deadline));
  }
  add_limits(client.get(), cluster.topics, deadline);
  return cluster;
}

std::string librdkafka_version() { return rd_kafka_version_str(); }

}  // namespace relevo::kafka
