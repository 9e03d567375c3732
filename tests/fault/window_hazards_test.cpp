// Windows far larger than a page: bulk loads, and crashes in the middle of them.
#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "scenario.hpp"
#include "support/eventually.hpp"

namespace relevo::test {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

constexpr int kHuge = 50'000;

// Somebody stands inside an open window with pages behind it and pages before it.
[[nodiscard]] bool wait_mid_window(Connection& connection, const std::string& holder) {
  return eventually(
      20s,
      [&] {
        return connection.number(
                   "SELECT count(*) FROM relevo.position WHERE a < b AND last_id > -1 AND holder = "
                   "$1",
                   {holder}) > 0;
      },
      1ms);
}

TEST(WindowHazards, AHugeTransactionIsDeliveredAcrossACrashInItsMiddle) {
  Scenario scenario;
  auto connection = scenario.connect();
  publish_many(connection, "order", "o", scenario.topic("order"), 1, kHuge, 100);
  int crashes = 0;
  for (; crashes < 3; ++crashes) {
    const auto name = "victim-" + std::to_string(crashes);
    const auto victim = scenario.relay(name, {{"RELEVO_RELAY_LEASE_TTL", Scenario::kShortLease},
                                              {"RELEVO_RELAY_SAVE_INTERVAL", "20ms"}});
    ASSERT_TRUE(wait_mid_window(connection, name)) << victim->process().standard_error();
    victim->process().kill();
    ASSERT_GT(connection.number("SELECT count(*) FROM relevo.position WHERE a < b"), 0)
        << "it was done already";
  }
  const auto relay = scenario.relay("survivor", Scenario::short_lease());
  const auto verdict = scenario.finish({relay.get()}, {{"kills", std::to_string(crashes)}});
  EXPECT_LT(verdict.duplicates, static_cast<std::size_t>(kHuge))
      << "the progress of its middle was lost";
}

TEST(WindowHazards, TwoHugeWindowsAtOnceInOneReplicaAreComplete) {
  Scenario scenario;
  const Process::Environment environment{{"RELEVO_RELAY_LEASE_TTL", Scenario::kShortLease},
                                         {"RELEVO_RELAY_SAVE_INTERVAL", "20ms"}};
  auto victim = scenario.relay("victim", environment);
  const auto heir = scenario.relay("heir", environment);
  ASSERT_TRUE(eventually(20s, [&] {
    return scenario.holders() == std::map<std::string, int>{{"victim", 4}, {"heir", 4}};
  }));
  auto connection = scenario.connect();
  publish_many(connection, "order", "o", scenario.topic("order"), 1, kHuge, 100);
  ASSERT_TRUE(wait_mid_window(connection, "victim")) << victim->process().standard_error();
  victim->process().kill();
  ASSERT_GT(
      connection.number("SELECT count(*) FROM relevo.position WHERE a < b AND holder = 'victim'"),
      0);
  // The heir is in the next huge window when the victim's shards come to it with the rest of the
  // last one.
  for (int i = 1; i < 6; ++i) {
    publish_many(connection, "order", "o", scenario.topic("order"), 1 + i * kHuge, kHuge, 100);
  }
  ASSERT_TRUE(scenario.wait_holds_all("heir", 20s));
  const auto verdict = scenario.finish({heir.get()}, {{"kills", "1"}});
  EXPECT_LT(verdict.duplicates, static_cast<std::size_t>(kHuge));
}

TEST(WindowHazards, ABulkLoadThatStaysOpenDelaysNobody) {
  constexpr auto kOpen = 20s;
  constexpr int kRows = 200'000;
  constexpr int kParts = 10;
  Scenario scenario;
  const auto relay = scenario.relay("relay", {{"RELEVO_RELAY_MAX_IN_FLIGHT", "20000"}});
  ASSERT_TRUE(relay->wait_ready()) << relay->process().standard_error();
  std::atomic<bool> loaded{false};
  const auto start = std::chrono::steady_clock::now();
  auto bulk_connection = scenario.connect();
  std::thread bulk([&] {
    bulk_connection.exec("BEGIN");
    for (int part = 0; part < kParts; ++part) {
      publish_many(bulk_connection, "order", "bulk", scenario.topic("order"),
                   1 + part * (kRows / kParts), kRows / kParts, 1000);
    }
    loaded = true;
  });

  auto connection = scenario.connect();
  auto reader = scenario.reader({"order"});
  std::vector<milliseconds> latencies;
  for (std::int64_t version = 1; std::chrono::steady_clock::now() - start < kOpen; ++version) {
    const auto sent = std::chrono::steady_clock::now();
    publish_many(connection, "order", "other", scenario.topic("order"), version, 1, 1);
    const bool arrived = eventually(10s, [&] { return !reader.poll(5ms).empty(); });
    EXPECT_TRUE(arrived) << relay->process().standard_error();
    if (!arrived) break;
    latencies.push_back(
        std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - sent));
  }
  bulk.join();
  ASSERT_TRUE(loaded);
  bulk_connection.exec("COMMIT");
  std::sort(latencies.begin(), latencies.end());
  ASSERT_FALSE(latencies.empty());
  const auto median = latencies[latencies.size() / 2];
  EXPECT_LE(median, 300ms);
  const auto verdict =
      scenario.finish({relay.get()}, {{"median_ms", std::to_string(median.count())},
                                      {"max_ms", std::to_string(latencies.back().count())}});
  EXPECT_EQ(verdict.duplicates, 0U);
}

}  // namespace
}  // namespace relevo::test
