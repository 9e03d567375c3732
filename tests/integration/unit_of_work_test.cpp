// One run's transaction on a real server: all or nothing, errors that keep their kind, and a
// connection that lives on after them.
#include "relevo/postgres/unit_of_work.hpp"

#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "relevo/core/error.hpp"
#include "relevo/postgres/migrator.hpp"
#include "support/database.hpp"
#include "support/environment.hpp"
#include "support/eventually.hpp"

namespace relevo::postgres {
namespace {

using namespace std::chrono_literals;
using core::ErrorKind;
using core::IntegrationError;

constexpr worker::Statement kWrite{
    "test_write", "INSERT INTO effect (what) VALUES ($1::text) RETURNING id, what"};
constexpr worker::Statement kFail{"test_fail", "SELECT 1 / $1::int"};
constexpr worker::Statement kLock{"test_lock", "UPDATE pair SET n = n + 1 WHERE id = $1::int"};

class UnitOfWorkTest : public testing::TestWithParam<bool> {
 protected:
  UnitOfWorkTest() {
    test::Connection setup = database.connect();
    options.url = database.url();
    options.prepared_statements = GetParam();
    Migrator(options).migrate(4, [](int, std::string_view) {});
    setup.exec(
        "CREATE TABLE effect (id int GENERATED ALWAYS AS IDENTITY, what text UNIQUE);"
        "CREATE TABLE pair (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);"
        "INSERT INTO pair (id) VALUES (1), (2)");
  }

  std::int64_t effects() { return database.connect().number("SELECT count(*) FROM effect"); }

  test::Database database{test::required_environment("RELEVO_TEST_POSTGRES")};
  ConnectOptions options;
};

INSTANTIATE_TEST_SUITE_P(Prepared, UnitOfWorkTest, testing::Bool());

ErrorKind kind_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const IntegrationError& error) {
    return error.kind();
  }
  ADD_FAILURE() << "no error";
  return ErrorKind::kMisconfigured;
}

TEST_P(UnitOfWorkTest, everything_is_committed_together) {
  Connection connection(options);
  {
    Transaction unit(connection);
    const auto rows = unit.query(kWrite, {"paid"});
    ASSERT_EQ(rows.size(), 1U);
    EXPECT_EQ(rows[0][1], "paid");
    unit.publish({"order", "o-1", "OrderPaid", R"({"n": 1})", "{}", std::nullopt, "acme"});
    unit.audit({"pay", "order", "o-1", "open", "paid", std::nullopt, "ana", "acme", "{}"});
    EXPECT_EQ(effects(), 0);
    unit.commit();
  }
  auto other = database.connect();
  EXPECT_EQ(effects(), 1);
  EXPECT_EQ(other.value("SELECT convert_from(payload, 'UTF8') FROM relevo.outbox"), R"({"n": 1})");
  EXPECT_EQ(other.value("SELECT concat_ws(' ', actor, action, subject_id, from_state, to_state) "
                        "FROM relevo.audit_log"),
            "ana pay o-1 open paid");
  EXPECT_TRUE(connection.usable());
}

TEST_P(UnitOfWorkTest, without_commit_nothing_happened) {
  Connection connection(options);
  {
    Transaction unit(connection);
    unit.query(kWrite, {"one"});
    unit.publish({"order", "o-1", "OrderPaid", "{}", "{}", std::nullopt, std::nullopt});
  }
  EXPECT_EQ(effects(), 0);
  EXPECT_EQ(database.connect().number("SELECT count(*) FROM relevo.outbox"), 0);
  // The connection is as good as new.
  ASSERT_TRUE(connection.usable());
  Transaction unit(connection);
  unit.query(kWrite, {"two"});
  unit.commit();
  EXPECT_EQ(effects(), 1);
}

TEST_P(UnitOfWorkTest, an_untouched_unit_of_work_never_reaches_the_server) {
  Connection connection(options);
  auto other = database.connect();
  const auto state = [&] {
    return other.value(
        "SELECT state || coalesce(query, '') FROM pg_stat_activity WHERE pid = $1::int",
        {std::to_string(connection.backend_pid())});
  };
  const auto before = state();
  Transaction unit(connection);
  unit.commit();
  EXPECT_EQ(state(), before);
}

TEST_P(UnitOfWorkTest, a_swallowed_error_commits_nothing) {
  Connection connection(options);
  Transaction unit(connection);
  unit.query(kWrite, {"one"});
  EXPECT_EQ(kind_of([&] { unit.query(kFail, {"0"}); }), ErrorKind::kRejected);
  EXPECT_EQ(kind_of([&] { unit.query(kWrite, {"two"}); }), ErrorKind::kRejected);
  EXPECT_EQ(kind_of([&] { unit.commit(); }), ErrorKind::kRejected);
  unit.rollback();
  EXPECT_TRUE(connection.usable());
  EXPECT_EQ(effects(), 0);
}

TEST_P(UnitOfWorkTest, statements_that_the_server_passed_over_work_afterwards) {
  Connection connection(options);
  {
    Transaction unit(connection);
    // The refused event comes before the statement in one exchange.
    unit.publish({"", "o-1", "OrderPaid", "{}", "{}", std::nullopt, std::nullopt});
    EXPECT_EQ(kind_of([&] { unit.query(kWrite, {"one"}); }), ErrorKind::kRejected);
  }
  ASSERT_TRUE(connection.usable());
  Transaction unit(connection);
  unit.query(kWrite, {"two"});
  unit.publish({"order", "o-1", "OrderPaid", "{}", "{}", std::nullopt, std::nullopt});
  unit.commit();
  EXPECT_EQ(effects(), 1);
}

TEST_P(UnitOfWorkTest, a_refused_event_shows_at_commit) {
  Connection connection(options);
  Transaction unit(connection);
  unit.query(kWrite, {"one"});
  unit.publish({"", "o-1", "OrderPaid", "{}", "{}", std::nullopt, std::nullopt});
  EXPECT_EQ(kind_of([&] { unit.commit(); }), ErrorKind::kRejected);
  unit.rollback();
  EXPECT_TRUE(connection.usable());
  EXPECT_EQ(effects(), 0);
}

TEST_P(UnitOfWorkTest, a_refused_event_does_not_keep_rollback_from_working) {
  Connection connection(options);
  Transaction unit(connection);
  unit.publish({"", "o-1", "OrderPaid", "{}", "{}", std::nullopt, std::nullopt});
  unit.rollback();
  EXPECT_TRUE(connection.usable());
  EXPECT_EQ(database.connect().number("SELECT count(*) FROM relevo.outbox"), 0);
}

TEST_P(UnitOfWorkTest, a_deadlock_is_a_conflict) {
  Connection first(options);
  Connection second(options);
  Transaction a(first);
  Transaction b(second);
  a.query(kLock, {"1"});
  b.query(kLock, {"2"});
  auto waiting = std::async(std::launch::async, [&] {
    try {
      a.query(kLock, {"2"});
      return std::optional<ErrorKind>();
    } catch (const IntegrationError& error) {
      return std::optional(error.kind());
    }
  });
  std::optional<ErrorKind> mine;
  try {
    b.query(kLock, {"1"});
  } catch (const IntegrationError& error) {
    mine = error.kind();
  }
  b.rollback();
  const auto theirs = waiting.get();
  ASSERT_NE(mine.has_value(), theirs.has_value());
  EXPECT_EQ(mine.value_or(ErrorKind::kConflict), ErrorKind::kConflict);
  EXPECT_EQ(theirs.value_or(ErrorKind::kConflict), ErrorKind::kConflict);
  EXPECT_TRUE(second.usable());
}

TEST_P(UnitOfWorkTest, a_killed_backend_leaves_a_connection_to_throw_away) {
  Connection connection(options);
  Transaction unit(connection);
  unit.query(kWrite, {"one"});
  database.connect().exec("SELECT pg_terminate_backend(" +
                          std::to_string(connection.backend_pid()) + ")");
  EXPECT_EQ(kind_of([&] { unit.query(kWrite, {"two"}); }), ErrorKind::kDisconnected);
  EXPECT_EQ(kind_of([&] { unit.commit(); }), ErrorKind::kDisconnected);
  unit.rollback();
  EXPECT_FALSE(connection.usable());
  EXPECT_EQ(effects(), 0);
}

TEST_P(UnitOfWorkTest, a_statement_without_an_answer_costs_the_connection) {
  options.statement_timeout = 200ms;
  Connection connection(options);
  Transaction unit(connection);
  EXPECT_EQ(kind_of([&] {
              unit.query({"test_sleep", "SELECT pg_sleep(5)"});
            }),
            ErrorKind::kDisconnected);
  unit.rollback();
  EXPECT_FALSE(connection.usable());
}

TEST_P(UnitOfWorkTest, values_go_and_come_unchanged) {
  Connection connection(options);
  Transaction unit(connection);
  const worker::Statement echo{"test_echo", "SELECT $1::text, $2::text, 1.50::numeric"};
  const auto rows = unit.query(echo, {std::nullopt, "a\"b\\c\n{}é"});
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0], (worker::Row{std::nullopt, "a\"b\\c\n{}é", "1.50"}));
  EXPECT_EQ(kind_of([&] {
              unit.query(echo, {std::string("a\0b", 3), "x"});
            }),
            ErrorKind::kRejected);
}

TEST_P(UnitOfWorkTest, an_audit_line_cannot_be_changed) {
  Connection connection(options);
  Transaction unit(connection);
  unit.audit({"pay", "order", "o-1", {}, {}, {}, {}, {}, "{}"});
  unit.commit();
  auto owner = database.connect();
  EXPECT_THROW(owner.exec("UPDATE relevo.audit_log SET actor = 'somebody else'"), test::SqlError);
}

}  // namespace
}  // namespace relevo::postgres
