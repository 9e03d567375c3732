// A topic that was created a moment ago: its partitions have a leader by name before they take
// records, and a broker that has never seen a producer takes its second batch when it refused the
// first.
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "scenario.hpp"

namespace relevo::test {
namespace {

using namespace std::chrono_literals;

TEST(NewTopics, FirstEventsOfManyAllArrive) {
  constexpr int kTopics = 20;
  Scenario scenario;
  auto connection = scenario.connect();
  std::vector<std::unique_ptr<Daemon>> relays;  // several, that meet in creating a topic
  std::vector<Daemon*> all;
  for (const auto* name : {"one", "two", "three"}) {
    // Many partitions: the longer the broker has only some of them ready.
    all.push_back(
        relays.emplace_back(scenario.relay(name, {{"RELEVO_KAFKA_TOPICS_PARTITIONS", "24"}}))
            .get());
  }
  for (auto* relay : all) ASSERT_TRUE(relay->wait_ready()) << relay->process().standard_error();
  for (int i = 0; i < kTopics; ++i) {
    const auto type = "type-" + std::to_string(i);
    // More than one batch a partition.
    publish_many(connection, type, "o", scenario.topic(type), 1, 1500, 100);
  }
  EXPECT_EQ(scenario.finish(all, {{"topics", std::to_string(kTopics)}}, 60s).duplicates, 0U);
}

}  // namespace
}  // namespace relevo::test
