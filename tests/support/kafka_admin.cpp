#include "support/kafka_admin.hpp"

#include <librdkafka/rdkafka.h>

#include <array>
#include <chrono>
#include <functional>
#include <stdexcept>

#include "support/eventually.hpp"

namespace relevo::test {
namespace {

using namespace std::chrono_literals;

constexpr int kTimeout = 20'000;
constexpr auto kVisible = 20s;

template <auto Destroy>
struct Deleter {
  template <typename T>
  void operator()(T* handle) const {
    Destroy(handle);
  }
};

template <typename T, auto Destroy>
using Handle = std::unique_ptr<T, Deleter<Destroy>>;

[[noreturn]] void fail(const std::string& what, const char* why) {
  throw std::runtime_error(what + ": " + why);
}

}  // namespace

struct KafkaAdmin::Impl {
  Handle<rd_kafka_t, rd_kafka_destroy> client;

  using Event = Handle<rd_kafka_event_t, rd_kafka_event_destroy>;

  // `start` sends the request with its answer going to the queue; `results` finds the topics in the
  // answer.
  void ask(const std::string& what, const std::function<void(rd_kafka_queue_t*)>& start,
           const std::function<const rd_kafka_topic_result_t**(rd_kafka_event_t*, std::size_t*)>&
               results) {
    const Handle<rd_kafka_queue_t, rd_kafka_queue_destroy> queue(rd_kafka_queue_new(client.get()));
    start(queue.get());
    const Event event(rd_kafka_queue_poll(queue.get(), kTimeout));
    if (!event) fail(what, "no answer");
    if (rd_kafka_event_error(event.get()) != 0)
      fail(what, rd_kafka_event_error_string(event.get()));
    if (!results) return;
    std::size_t count = 0;
    const auto** topics = results(event.get(), &count);
    for (std::size_t i = 0; i < count; ++i) {
      if (rd_kafka_topic_result_error(topics[i]) == 0) continue;
      fail(what, rd_kafka_err2str(rd_kafka_topic_result_error(topics[i])));
    }
  }
};

KafkaAdmin::KafkaAdmin(const std::string& bootstrap) : impl_(std::make_unique<Impl>()) {
  std::array<char, 512> text{};
  auto* conf = rd_kafka_conf_new();
  rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap.c_str(), text.data(), text.size());
  rd_kafka_conf_set_log_cb(conf, nullptr);
  impl_->client.reset(rd_kafka_new(RD_KAFKA_PRODUCER, conf, text.data(), text.size()));
  if (!impl_->client) fail("kafka admin", text.data());
}

KafkaAdmin::~KafkaAdmin() = default;

std::int32_t KafkaAdmin::partitions(const std::string& topic) {
  const struct rd_kafka_metadata* metadata = nullptr;
  if (rd_kafka_metadata(impl_->client.get(), 1, nullptr, &metadata, kTimeout) != 0) return 0;
  std::int32_t found = 0;
  for (int i = 0; i < metadata->topic_cnt; ++i) {
    if (topic == metadata->topics[i].topic) found = metadata->topics[i].partition_cnt;
  }
  rd_kafka_metadata_destroy(metadata);
  return found;
}

void KafkaAdmin::create_topic(const std::string& topic, std::int32_t count,
                              const std::map<std::string, std::string>& settings) {
  std::array<char, 512> text{};
  const Handle<rd_kafka_NewTopic_t, rd_kafka_NewTopic_destroy> wanted(
      rd_kafka_NewTopic_new(topic.c_str(), count, -1, text.data(), text.size()));
  for (const auto& [name, value] : settings)
    rd_kafka_NewTopic_set_config(wanted.get(), name.c_str(), value.c_str());
  auto* one = wanted.get();
  impl_->ask(
      "create topic " + topic,
      [&](rd_kafka_queue_t* queue) {
        rd_kafka_CreateTopics(impl_->client.get(), &one, 1, nullptr, queue);
      },
      [](rd_kafka_event_t* event, std::size_t* n) {
        return rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), n);
      });
  if (!eventually(kVisible, [&] { return partitions(topic) == count; }))
    fail(topic, "does not appear");
}

void KafkaAdmin::delete_topic(const std::string& topic) {
  const Handle<rd_kafka_DeleteTopic_t, rd_kafka_DeleteTopic_destroy> unwanted(
      rd_kafka_DeleteTopic_new(topic.c_str()));
  auto* one = unwanted.get();
  impl_->ask(
      "delete topic " + topic,
      [&](rd_kafka_queue_t* queue) {
        rd_kafka_DeleteTopics(impl_->client.get(), &one, 1, nullptr, queue);
      },
      [](rd_kafka_event_t* event, std::size_t* n) {
        return rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), n);
      });
  if (!eventually(kVisible, [&] { return partitions(topic) == 0; })) fail(topic, "does not vanish");
}

void KafkaAdmin::add_partitions(const std::string& topic, std::int32_t total) {
  std::array<char, 512> text{};
  const Handle<rd_kafka_NewPartitions_t, rd_kafka_NewPartitions_destroy> wanted(
      rd_kafka_NewPartitions_new(topic.c_str(), static_cast<std::size_t>(total), text.data(),
                                 text.size()));
  auto* one = wanted.get();
  impl_->ask(
      "add partitions to " + topic,
      [&](rd_kafka_queue_t* queue) {
        rd_kafka_CreatePartitions(impl_->client.get(), &one, 1, nullptr, queue);
      },
      [](rd_kafka_event_t* event, std::size_t* n) {
        return rd_kafka_CreatePartitions_result_topics(
            rd_kafka_event_CreatePartitions_result(event), n);
      });
  if (!eventually(kVisible, [&] { return partitions(topic) == total; }))
    fail(topic, "does not grow");
}

void KafkaAdmin::set(const std::string& topic, const std::string& setting,
                     const std::string& value) {
  const Handle<rd_kafka_ConfigResource_t, rd_kafka_ConfigResource_destroy> resource(
      rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic.c_str()));
  rd_kafka_ConfigResource_set_config(resource.get(), setting.c_str(), value.c_str());
  auto* one = resource.get();
  impl_->ask("alter topic " + topic,
             [&](rd_kafka_queue_t* queue) {
               rd_kafka_AlterConfigs(impl_->client.get(), &one, 1, nullptr, queue);
             },
             {});
}

}  // namespace relevo::test
