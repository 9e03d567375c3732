// Transactions that stay open, in this database or another one of the cluster, hold up nobody's
// events.
#include <gtest/gtest.h>

#include <algorithm>

#include "scenario.hpp"

namespace relevo::test {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

NewEvent event_of(const Scenario& scenario, std::int64_t version) {
  NewEvent event;
  event.aggregate_type = "probe";
  event.aggregate_id = "one";
  event.version = version;
  event.topic = scenario.topic("probe");
  event.payload = "{}";
  return event;
}

// From before COMMIT until a consumer has it.
std::optional<milliseconds> latency(Connection& connection, TopicReader& reader,
                                    const NewEvent& event) {
  const auto start = std::chrono::steady_clock::now();
  publish(connection, event);
  while (std::chrono::steady_clock::now() - start < 10s) {
    if (!reader.poll(5ms).empty()) {
      return std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - start);
    }
  }
  return std::nullopt;
}

TEST(ForeignTransaction, OpenAllAlongDelaysNoEvent) {
  constexpr int kProbes = 60;
  Scenario scenario;
  const Database elsewhere(scenario.servers().postgres);
  auto foreign = elsewhere.connect();
  foreign.exec("BEGIN");
  const auto foreign_xid = foreign.value("SELECT pg_current_xact_id()::text");

  auto prepared = scenario.connect();
  const auto prepared_name = scenario.topic_prefix();
  prepared.exec("BEGIN");
  auto late = event_of(scenario, 1);
  late.aggregate_id = "prepared";
  publish(prepared, late);
  prepared.exec("PREPARE TRANSACTION '" + prepared_name + "'");

  const auto relay = scenario.relay("relay");
  ASSERT_TRUE(relay->wait_ready()) << relay->process().standard_error();
  auto connection = scenario.connect();
  auto reader = scenario.reader({"probe"});
  ASSERT_TRUE(latency(connection, reader, event_of(scenario, 1)))
      << "the first event creates its topic";
  std::vector<milliseconds> latencies;
  for (int version = 2; version <= kProbes; ++version) {
    const auto took = latency(connection, reader, event_of(scenario, version));
    ASSERT_TRUE(took) << "event " << version << " did not arrive\n"
                      << relay->process().standard_error();
    latencies.push_back(*took);
  }

  // The fault bites: both are in every snapshot taken so far.
  const auto xmin = connection.value(
      "SELECT pg_snapshot_xmin(snapshot)::text FROM relevo.tick ORDER BY id DESC LIMIT 1");
  EXPECT_LE(std::stoull(xmin), std::stoull(foreign_xid));

  std::sort(latencies.begin(), latencies.end());
  const auto median = latencies[latencies.size() / 2];
  EXPECT_LE(median, 200ms);
  connection.exec("COMMIT PREPARED '" + prepared_name + "'");
  foreign.exec("COMMIT");
  const auto verdict =
      scenario.finish({relay.get()}, {{"median_ms", std::to_string(median.count())},
                                      {"max_ms", std::to_string(latencies.back().count())}});
  EXPECT_EQ(verdict.duplicates, 0U);
}

}  // namespace
}  // namespace relevo::test
