// Transactions of unusual shape, and databases with unusual defaults.
#include <gtest/gtest.h>

#include "scenario.hpp"
#include "support/eventually.hpp"

namespace relevo::test {
namespace {

using namespace std::chrono_literals;

TEST(TransactionHazards, RepeatableReadAsTheDatabasesDefaultHidesNothing) {
  Scenario scenario;
  const Database& database = scenario.database();
  scenario.connect().exec("ALTER DATABASE " + database.name() +
                          " SET default_transaction_isolation = 'repeatable read'");
  const auto relay = scenario.relay("relay");
  auto connection = scenario.connect();
  ASSERT_EQ(connection.value("SHOW transaction_isolation"), "repeatable read");
  for (int version = 1; version <= 200; ++version) {
    publish_many(connection, "order", "o", scenario.topic("order"), version, 1, 3);
  }
  ASSERT_TRUE(scenario.wait_progress(20s)) << relay->process().standard_error();
  publish_many(connection, "order", "o", scenario.topic("order"), 201, 2500, 3);
  EXPECT_EQ(scenario.finish({relay.get()}).duplicates, 0U);
}

TEST(TransactionHazards, PreparedTransactionsAreDeliveredWhenTheyCommit) {
  constexpr int kPrepared = 20;
  Scenario scenario;
  auto relay = scenario.relay("relay");
  auto connection = scenario.connect();
  const auto name = [&](int i) {
    return "'" + scenario.topic_prefix() + "_" + std::to_string(i) + "'";
  };
  for (int i = 0; i < kPrepared; ++i) {
    connection.exec("BEGIN");
    publish_many(connection, "order", "p" + std::to_string(i), scenario.topic("order"), 1, 3, 1);
    connection.exec("PREPARE TRANSACTION " + name(i));
    publish_many(connection, "order", "plain", scenario.topic("order"), 1 + i * 5, 5, 1);
  }
  ASSERT_EQ(connection.number(
                "SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()"),
            kPrepared);
  ASSERT_TRUE(scenario.wait_progress(20s)) << relay->process().standard_error();
  for (int i = kPrepared - 1; i >= kPrepared / 2; --i) {
    connection.exec((i % 4 == 0 ? "ROLLBACK PREPARED " : "COMMIT PREPARED ") + name(i));
  }
  // They outlive a replica too.
  const auto exit = relay->terminate();
  ASSERT_TRUE(exit && exit->code == 0) << relay->process().standard_error();
  relay = scenario.relay("next");
  ASSERT_TRUE(scenario.wait_holds_all("next", 20s));
  for (int i = 0; i < kPrepared / 2; ++i) connection.exec("COMMIT PREPARED " + name(i));
  EXPECT_EQ(scenario.finish({relay.get()}).duplicates, 0U);
}

TEST(TransactionHazards, HundredsOfSavepointsKeepWhatWasReleased) {
  constexpr int kSavepoints = 200;  // snapshots list 64 subtransactions of a backend, then overflow
  Scenario scenario;
  const auto relay = scenario.relay("relay");
  std::array<Connection, 3> writers{scenario.connect(), scenario.connect(), scenario.connect()};
  std::array<std::int64_t, 3> versions{};
  for (auto& writer : writers) writer.exec("BEGIN");
  for (int i = 0; i < kSavepoints; ++i) {
    for (std::size_t w = 0; w < writers.size(); ++w) {
      writers[w].exec("SAVEPOINT s" + std::to_string(i));
      publish_many(writers[w], "order", "w" + std::to_string(w) + "-", scenario.topic("order"),
                   versions[w] + 1, 1, 1);
      if (i % 3 == 0) {
        writers[w].exec("ROLLBACK TO s" + std::to_string(i));
      } else {
        ++versions[w];
      }
    }
    auto other = std::to_string(i);
    if (i % 20 == 0) {
      auto between = scenario.connect();
      publish_many(between, "order", "between-" + other + "-", scenario.topic("order"), 1, 1, 1);
    }
  }
  for (auto& writer : writers) {
    writer.exec("COMMIT");
    ASSERT_TRUE(scenario.wait_progress(20s)) << relay->process().standard_error();
  }
  EXPECT_EQ(scenario.finish({relay.get()}).duplicates, 0U);
}

TEST(TransactionHazards, AWriterCannotForgeATransactionId) {
  Scenario scenario;
  auto owner = scenario.connect();
  const auto role = scenario.database().name() + "_writer";
  owner.exec("CREATE ROLE " + role + " LOGIN IN ROLE relevo_writer");
  {
    Connection writer(with_user(scenario.url(), role));
    const auto refused = [&](const std::string& statement) -> std::string {
      try {
        writer.exec(statement);
        return "done";
      } catch (const SqlError& error) {
        return error.state();
      }
    };
    constexpr auto kInsufficientPrivilege = "42501";
    EXPECT_EQ(refused("INSERT INTO relevo.outbox (xid, aggregate_type, aggregate_id, event_type) "
                      "VALUES ('3', 'order', 'o', 'forged')"),
              kInsufficientPrivilege);
    EXPECT_EQ(refused("INSERT INTO relevo.outbox (id, aggregate_type, aggregate_id, event_type) "
                      "OVERRIDING SYSTEM VALUE VALUES (1, 'order', 'o', 'forged')"),
              kInsufficientPrivilege);
    EXPECT_EQ(
        refused("COPY relevo.outbox (xid, aggregate_type, aggregate_id, event_type) FROM STDIN"),
        kInsufficientPrivilege);
    EXPECT_EQ(refused("UPDATE relevo.outbox SET xid = '3'"), kInsufficientPrivilege);
    EXPECT_EQ(refused("DELETE FROM relevo.outbox"), kInsufficientPrivilege);
    EXPECT_EQ(
        refused("INSERT INTO relevo.outbox_p0 (xid, aggregate_type, aggregate_id, event_type) "
                "VALUES ('3', 'order', 'o', 'forged')"),
        kInsufficientPrivilege);
    EXPECT_EQ(refused("SELECT relevo.publish('order', 'o', 'made', '{}')"), "done");
  }
  EXPECT_EQ(owner.number("SELECT count(*) FROM relevo.outbox"), 1);
  owner.exec("DROP ROLE " + role);
}

}  // namespace
}  // namespace relevo::test
