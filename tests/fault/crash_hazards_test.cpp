// What a crash of PostgreSQL takes back: transaction ids that were never flushed are handed out
// again, and with them every snapshot that was only remembered would lie.
#include <gtest/gtest.h>

#include <set>

#include "scenario.hpp"
#include "support/eventually.hpp"
#include "support/postgres_server.hpp"

namespace relevo::test {
namespace {

using namespace std::chrono_literals;

// Waits until the relay, which looks at the cluster's snapshot every few milliseconds, has run some
// statements after this call began.
[[nodiscard]] bool relay_looked(Connection& connection) {
  constexpr std::size_t kStatements = 3;
  const auto now = connection.value("SELECT clock_timestamp()::text");
  std::set<Row> seen;
  return eventually(
      5s,
      [&] {
        for (auto& row :
             connection.query("SELECT pid, query_start FROM pg_stat_activity "
                              "WHERE datname = current_database() AND pid <> pg_backend_pid() "
                              "AND query_start > $1::timestamptz",
                              {now})) {
          seen.insert(std::move(row));
        }
        return seen.size() >= kStatements;
      },
      1ms);
}

TEST(CrashHazards, TransactionIdsHandedOutAgainHideNoEvent) {
  constexpr int kCrashes = 6;
  constexpr int kLostTransactions = 6;
  OwnPostgres postgres({"wal_writer_delay=10s", "autovacuum=off"});
  Scenario scenario({postgres.url(), shared_servers().kafka});
  // Renewals and saves flush the log: few of them, so that unflushed ids remain.
  const auto relay = scenario.relay("relay", {{"RELEVO_RELAY_LEASE_TTL", "60s"}});
  ASSERT_TRUE(relay->wait_ready()) << relay->process().standard_error();
  std::int64_t version = 0;
  const auto publish_one = [&](Connection& connection) {
    publish_many(connection, "order", "o", scenario.topic("order"), ++version, 1, 1);
  };
  auto reader = scenario.reader({"order"});
  std::int64_t received = 0;
  const auto wait_received = [&] {
    return eventually(20s, [&] {
      received += static_cast<std::int64_t>(reader.poll(5ms).size());
      return received >= version;
    });
  };

  int reused = 0;
  int crashes = 0;
  // More when a busy machine was slow each time: what was written in between is not lost then.
  for (; crashes < kCrashes || (reused == 0 && crashes < 4 * kCrashes); ++crashes) {
    auto connection = scenario.connect();
    connection.exec("CHECKPOINT");
    publish_one(connection);
    ASSERT_TRUE(wait_received()) << relay->process().standard_error();
    std::string last_xid;
    for (int i = 0; i < kLostTransactions; ++i) {
      connection.exec("BEGIN");
      publish_one(connection);
      --version;
      last_xid = connection.value("SELECT pg_current_xact_id()::text");
      connection.exec("ROLLBACK");
    }
    ASSERT_TRUE(relay_looked(connection));
    postgres.restart_immediate();

    auto again = scenario.connect();
    const auto first_xid = again.value("SELECT pg_snapshot_xmax(pg_current_snapshot())::text");
    if (std::stoull(first_xid) <= std::stoull(last_xid)) ++reused;
    for (int i = 0; i < kLostTransactions; ++i) publish_one(again);
    ASSERT_TRUE(wait_received()) << "crash " << crashes << "\n"
                                 << relay->process().standard_error();
  }
  ASSERT_GT(reused, 0) << "PostgreSQL handed out no transaction id twice";
  (void)scenario.finish(
      {relay.get()}, {{"restarts", std::to_string(crashes)}, {"reused", std::to_string(reused)}});
}

TEST(CrashHazards, ATickIsDurableWhereCommitsAreNotByDefault) {
  OwnPostgres postgres({"wal_writer_delay=10s", "autovacuum=off", "synchronous_commit=off"});
  Scenario scenario({postgres.url(), shared_servers().kafka});
  std::string newest;
  {
    auto connection = scenario.connect();
    connection.exec("CHECKPOINT; CREATE TABLE marker (n int)");
    publish_many(connection, "order", "o", scenario.topic("order"), 1, 5, 1);
    newest = connection.value("SELECT id || ' ' || fingerprint FROM relevo.next_tick()");
    connection.exec("INSERT INTO marker VALUES (1)");
  }
  postgres.restart_immediate();
  auto connection = scenario.connect();
  EXPECT_EQ(
      connection.value("SELECT id || ' ' || fingerprint FROM relevo.tick ORDER BY id DESC LIMIT 1"),
      newest);
  ASSERT_EQ(connection.number("SELECT count(*) FROM marker"), 0) << "nothing was taken back";

  const auto relay = scenario.relay("relay");
  ASSERT_TRUE(scenario.wait_progress(20s)) << relay->process().standard_error();
  (void)scenario.finish({relay.get()});
}

}  // namespace
}  // namespace relevo::test
