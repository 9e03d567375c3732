// Replicas share the shards evenly, whoever comes or dies.
#include <gtest/gtest.h>

#include "scenario.hpp"
#include "support/eventually.hpp"

namespace relevo::test {
namespace {

using namespace std::chrono_literals;
using Holders = std::map<std::string, int>;

TEST(ShardSharing, FollowsReplicasThatComeAndDie) {
  constexpr auto kLease = 2s;
  Scenario scenario;
  ASSERT_EQ(scenario.shards(), 8);
  auto first = scenario.relay("first", Scenario::short_lease());
  const auto second = scenario.relay("second", Scenario::short_lease());
  (void)scenario.load();
  ASSERT_TRUE(eventually(20s, [&] {
    return scenario.holders() == Holders{{"first", 4}, {"second", 4}};
  }));

  const auto third = scenario.relay("third", Scenario::short_lease());
  const auto even_among_three = [&] {
    const auto holders = scenario.holders();
    int all = 0;
    for (const auto& [holder, count] : holders) {
      if (count < 2 || count > 3) return false;
      all += count;
    }
    return holders.size() == 3 && all == 8;
  };
  ASSERT_TRUE(eventually(20s, even_among_three)) << "the newcomer did not get its share";
  ASSERT_TRUE(scenario.wait_progress(20s));

  first->process().kill();
  const auto killed = std::chrono::steady_clock::now();
  ASSERT_TRUE(eventually(20s, [&] {
    return scenario.holders() == Holders{{"second", 4}, {"third", 4}};
  }));
  const auto took = std::chrono::steady_clock::now() - killed;
  EXPECT_LE(took, kLease + 3s) << "lease time, and a margin for a busy machine";

  const auto verdict = scenario.finish(
      {second.get(), third.get()},
      {{"kills", "1"},
       {"take_over_ms",
        std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(took).count())}});
  EXPECT_LE(verdict.duplicates, Scenario::kAgainPerCrash);
}

TEST(ShardSharing, StartingTogetherOnAnEmptyDatabaseEndsEven) {
  Scenario scenario;
  std::vector<std::unique_ptr<Daemon>> relays;
  for (int i = 0; i < 4; ++i) relays.push_back(scenario.relay("relay-" + std::to_string(i)));
  (void)scenario.load();
  ASSERT_TRUE(eventually(20s, [&] {
    return scenario.holders() ==
           Holders{{"relay-0", 2}, {"relay-1", 2}, {"relay-2", 2}, {"relay-3", 2}};
  }));
  ASSERT_TRUE(scenario.wait_progress(20s));
  std::vector<Daemon*> all;
  for (const auto& relay : relays) all.push_back(relay.get());
  EXPECT_EQ(scenario.finish(all).duplicates, 0U);
}

}  // namespace
}  // namespace relevo::test
