// librdkafka's handles as owners, and how a client of each kind is configured. Included by the
// sources of this folder only.
#pragma once

#include <librdkafka/rdkafka.h>

#include <cstddef>
#include <memory>
#include <string>

#include "relevo/kafka/client_options.hpp"

namespace relevo::kafka {

template <auto kDestroy>
struct Deleter {
  template <typename T>
  void operator()(T* handle) const {
    kDestroy(handle);
  }
};

using Conf = std::unique_ptr<rd_kafka_conf_t, Deleter<rd_kafka_conf_destroy>>;
using Client = std::unique_ptr<rd_kafka_t, Deleter<rd_kafka_destroy>>;
using Queue = std::unique_ptr<rd_kafka_queue_t, Deleter<rd_kafka_queue_destroy>>;
using TopicHandle = std::unique_ptr<rd_kafka_topic_t, Deleter<rd_kafka_topic_destroy>>;
using Event = std::unique_ptr<rd_kafka_event_t, Deleter<rd_kafka_event_destroy>>;
using Headers = std::unique_ptr<rd_kafka_headers_t, Deleter<rd_kafka_headers_destroy>>;
using PartitionList = std::unique_ptr<rd_kafka_topic_partition_list_t,
                                      Deleter<rd_kafka_topic_partition_list_destroy>>;
using Error = std::unique_ptr<rd_kafka_error_t, Deleter<rd_kafka_error_destroy>>;

struct ProducerLimits {
  std::size_t max_in_flight = 0;  // records
  std::size_t batch_size = 0;     // bytes
};

// Bytes in flight (as the broker counts them) beyond which no further record is taken.
constexpr std::size_t kMaxBytesInFlight = 16U << 20U;

// What the user set or our default; the largest batch.size a producer may have.
std::size_t configured_batch_size(const ClientOptions& options);

// A consumer group's member. Callbacks come with `opaque`, from the thread that polls.
struct GroupMember {
  std::string group;
  std::string instance_id;  // empty: none
  void* opaque = nullptr;
  void (*rebalance)(rd_kafka_t*, rd_kafka_resp_err_t, rd_kafka_topic_partition_list_t*, void*);
  void (*committed)(rd_kafka_t*, rd_kafka_resp_err_t, rd_kafka_topic_partition_list_t*, void*);
  void (*error)(rd_kafka_t*, int code, const char* text, void*);
  void (*line)(const rd_kafka_t*, int level, const char* facility, const char* text);
};

// All throw IntegrationError kMisconfigured.
Client new_producer(const ClientOptions& options, const ProducerLimits& limits);
Client new_consumer(const ClientOptions& options, bool read_committed);
Client new_group_member(const ClientOptions& options, const GroupMember& member);

Queue main_queue(rd_kafka_t* client);

}  // namespace relevo::kafka
