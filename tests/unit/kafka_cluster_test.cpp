#include "relevo/kafka/cluster.hpp"

#include <gtest/gtest.h>

#include "relevo/core/error.hpp"
#include "relevo/kafka/embedded.hpp"

namespace relevo::kafka {
namespace {

using namespace std::chrono_literals;

TEST(KafkaCluster, IsDescribedWithItsTopics) {
  EmbeddedKafka kafka;
  kafka.create_topic("orders", 5);
  const std::vector<std::string> topics{"orders", "not legal"};
  ClientOptions client;
  client.bootstrap_servers = kafka.bootstrap();
  const auto cluster = describe_cluster(client, topics, 5s);
  ASSERT_EQ(cluster.brokers.size(), 1U);
  EXPECT_EQ(cluster.brokers[0].address, kafka.bootstrap());
  EXPECT_FALSE(cluster.cluster_id.empty());
  ASSERT_EQ(cluster.topics.size(), 2U);
  EXPECT_TRUE(cluster.topics[0].exists);
  EXPECT_EQ(cluster.topics[0].partitions, 5);
  EXPECT_EQ(cluster.topics[0].error, "");
  EXPECT_FALSE(cluster.topics[1].exists);
  EXPECT_NE(cluster.topics[1].error, "");
}

TEST(KafkaCluster, ThatDoesNotAnswerIsAnErrorWithTheReason) {
  ClientOptions client;
  client.bootstrap_servers = "127.0.0.1:1";
  const auto start = std::chrono::steady_clock::now();
  try {
    (void)describe_cluster(client, {}, 1s);
    FAIL() << "no error";
  } catch (const core::IntegrationError& error) {
    EXPECT_EQ(error.kind(), core::ErrorKind::kDisconnected);
    EXPECT_NE(error.detail().find("refused"), std::string::npos) << error.detail();
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, 3s);
}

}  // namespace
}  // namespace relevo::kafka
