// One look at a cluster, for `relevo check`: does it answer, and what about these topics.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "relevo/kafka/client_options.hpp"

namespace relevo::kafka {

struct BrokerDescription {
  std::int32_t id = 0;
  std::string address;  // host:port, as the cluster tells its clients
};

struct TopicDescription {
  std::string name;
  bool exists = false;
  int partitions = 0;
  std::optional<std::size_t> max_message_bytes;  // nullopt: the cluster does not tell
  std::string error;                             // why it cannot be written to; empty if it can
};

struct ClusterDescription {
  std::string cluster_id;
  std::int32_t controller_id = -1;
  std::vector<BrokerDescription> brokers;
  std::vector<TopicDescription> topics;  // in the order asked
};

// Takes the properties as the publisher does, so wrong ones show here, too: IntegrationError
// kMisconfigured. kDisconnected, with the reason, if no broker answers within `time`. Creates
// nothing, except on clusters that create what is asked for.
ClusterDescription describe_cluster(const ClientOptions& options,
                                    std::span<const std::string> topics,
                                    std::chrono::milliseconds time);

std::string librdkafka_version();

}  // namespace relevo::kafka
