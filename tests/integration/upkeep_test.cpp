// Upkeep against a real database: what it measures there and what it clears away.
#include "upkeep.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <sstream>
#include <string>

#include "support/daemon.hpp"
#include "support/database.hpp"
#include "support/environment.hpp"
#include "support/eventually.hpp"

namespace relevo::test {
namespace {

using namespace std::chrono_literals;

class Quiet final : public core::Log {
 public:
  void write(core::Level, std::string_view, std::span<const core::Field>) override {}
};

class UpkeepTest : public testing::Test {
 protected:
  UpkeepTest() { migrate(database_.url()); }

  void start(UpkeepOptions options) {
    postgres::ConnectOptions database;
    database.url = database_.url();
    upkeep_.emplace(database, metrics_, log_, core::system_clock(), options);
    upkeep_->start();
  }

  std::optional<double> metric(const std::string& series) {
    std::istringstream lines(metrics_.scrape());
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with(series + " ")) return std::stod(line.substr(series.size()));
    }
    return std::nullopt;
  }
  bool becomes(const std::string& series, double value) {
    return eventually(20s, [&] { return metric(series) == value; });
  }

  void job(const std::string& queue, const std::string& columns = "",
           const std::string& values = "") {
    sql_.exec("INSERT INTO relevo.job (kind, payload, queue" + columns + ") VALUES ('k', '{}', '" +
              queue + "'" + values + ")");
  }
  void dead_message(const std::string& subscription, int offset) {
    sql_.query(
        "INSERT INTO relevo.dead_message (subscription, topic, partition, record_offset, error, "
        "attempts) VALUES ($1, 't', 0, $2::bigint, 'e', 1)",
        {subscription, std::to_string(offset)});
  }
  bool exists(const std::string& table) {
    return sql_.value("SELECT to_regclass($1) IS NOT NULL", {table}) == "t";
  }

  Database database_{required_environment("RELEVO_TEST_POSTGRES")};
  Connection sql_ = database_.connect();
  Quiet log_;
  metrics::Metrics metrics_{"test", {}, core::system_clock()};
  std::optional<Upkeep> upkeep_;
};

TEST_F(UpkeepTest, ReadyJobsAreThoseThatCouldRunNow) {
  job("mail", ", created_at", ", clock_timestamp() - interval '100 s'");
  job("mail");
  job("mail", ", run_at", ", clock_timestamp() + interval '1 hour'");
  // Due for some seconds, however long it had been put off.
  job("put_off", ", created_at, run_at",
      ", clock_timestamp() - interval '1 day', clock_timestamp() - interval '5 s'");
  job("mail", ", state, run_at", ", 2, clock_timestamp()");
  job("busy", ", created_at", ", clock_timestamp() - interval '1 hour'");
  sql_.exec(
      "UPDATE relevo.lane SET open = ARRAY[j.id], open_token = ARRAY[j.token] "
      "FROM relevo.job j WHERE j.queue = 'busy'");
  start({false, true, 24h});
  EXPECT_TRUE(becomes("relevo_jobs_ready{queue=\"mail\"}", 2));
  EXPECT_EQ(metric("relevo_jobs_ready{queue=\"put_off\"}"), 1);
  EXPECT_EQ(metric("relevo_jobs_ready{queue=\"busy\"}").value_or(0), 0) << "it is in flight";
  const std::string age = "relevo_jobs_oldest_ready_age_seconds";
  EXPECT_NEAR(metric(age + "{queue=\"mail\"}").value(), 100, 30);
  EXPECT_NEAR(metric(age + "{queue=\"put_off\"}").value(), 5, 30);
  EXPECT_TRUE(becomes("relevo_dead_letters{source=\"jobs\"}", 1));

  sql_.exec("DELETE FROM relevo.job");
  EXPECT_TRUE(becomes("relevo_jobs_ready{queue=\"mail\"}", 0));
  EXPECT_TRUE(becomes("relevo_dead_letters{source=\"jobs\"}", 0));
}

TEST_F(UpkeepTest, ALargeBacklogIsEstimated) {
  sql_.exec(
      "INSERT INTO relevo.job (kind, payload, queue) "
      "SELECT 'k', '{}', 'q' || i % 2 FROM generate_series(1, 20000) i");
  start({false, true, 24h});
  EXPECT_TRUE(eventually(20s, [&] { return metric("relevo_jobs_ready{queue=\"q1\"}") > 0; }));
  EXPECT_NEAR(metric("relevo_jobs_ready{queue=\"q1\"}").value(), 10'000, 3'000);
}

TEST_F(UpkeepTest, DeadMessagesAreCountedBySubscription) {
  dead_message("orders", 1);
  dead_message("orders", 2);
  dead_message("stock", 1);
  start({false, true, 24h});
  EXPECT_TRUE(becomes("relevo_dead_letters{source=\"orders\"}", 2));
  EXPECT_TRUE(becomes("relevo_dead_letters{source=\"stock\"}", 1));
  sql_.exec("DELETE FROM relevo.dead_message WHERE subscription = 'orders'");
  EXPECT_TRUE(becomes("relevo_dead_letters{source=\"orders\"}", 0));
}

TEST_F(UpkeepTest, HistoryOlderThanConfiguredIsDropped) {
  sql_.exec("SELECT relevo.make_days(3, 0)");
  const auto day = [&](int ago) {
    return "relevo.job_history_" +
           sql_.value(
               "SELECT to_char((clock_timestamp() AT TIME ZONE 'UTC')::date - $1::int, 'YYYYMMDD')",
               {std::to_string(ago)});
  };
  ASSERT_TRUE(exists(day(3)));
  start({false, true, 24h});
  EXPECT_TRUE(eventually(20s, [&] { return !exists(day(3)); }));
  EXPECT_TRUE(exists(day(1))) << "its last hours are not a day old";
}

TEST_F(UpkeepTest, WithoutTheRoleJobsAreLeftAlone) {
  sql_.exec("SELECT relevo.make_days(3, 0)");
  const auto before = sql_.number("SELECT count(*) FROM pg_class WHERE relname ~ '^job_history_2'");
  job("mail");
  sql_.exec("SELECT relevo.publish('order', 'o', 'OrderPlaced', '{}')");
  start({true, false, 24h});
  EXPECT_TRUE(becomes("relevo_outbox_backlog_events", 1));
  sql_.exec("SELECT relevo.publish('order', 'o', 'OrderPlaced', '{}')");
  EXPECT_TRUE(becomes("relevo_outbox_backlog_events", 2)) << "a whole round is over";
  EXPECT_EQ(metric("relevo_jobs_ready{queue=\"mail\"}"), std::nullopt);
  EXPECT_EQ(sql_.number("SELECT count(*) FROM pg_class WHERE relname ~ '^job_history_2'"), before);
}

TEST_F(UpkeepTest, GoesOnAfterItsConnectionWasLost) {
  start({true, true, 24h});
  job("mail");
  ASSERT_TRUE(becomes("relevo_jobs_ready{queue=\"mail\"}", 1));
  ASSERT_EQ(sql_.number("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                        "WHERE datname = current_database() AND application_name = 'relevo'"),
            1);
  job("mail");
  EXPECT_TRUE(becomes("relevo_jobs_ready{queue=\"mail\"}", 2));
}

}  // namespace
}  // namespace relevo::test
