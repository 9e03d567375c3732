// Clocks of workers and schedulers that are an hour off: the database's decides.
#include <gtest/gtest.h>

#include <array>

#include "support/daemon.hpp"
#include "support/eventually.hpp"
#include "support/fake_clock.hpp"
#include "support/jobs.hpp"
#include "support/report.hpp"

namespace relevo::test {
namespace {

using namespace std::chrono_literals;

// Two workers, an hour ahead and an hour behind, and jobs of which it is known when they are due.
class WorkerClock : public testing::Test {
 protected:
  void SetUp() override {
    if (kSanitized) GTEST_SKIP() << "a sanitizer is in the way of libfaketime";
    connection_.exec("CREATE TABLE test_due (job_id bigint NOT NULL, at timestamptz NOT NULL)");
    for (const auto* name : {"ahead", "behind"}) {
      auto& clock = name[0] == 'a' ? ahead_ : behind_;
      workers_.push_back(world_.worker(name, {"--lease", "10000"}, clock.environment()));
    }
    ASSERT_TRUE(world_.wait_holds_lanes("ahead", 8, 20s)) << errors();
    ASSERT_TRUE(world_.wait_holds_lanes("behind", 8, 20s)) << errors();
    epochs_ = epochs();
  }

  std::int64_t epochs() { return world_.number("SELECT sum(epoch) FROM relevo.lane"); }
  std::string errors() const {
    std::string all;
    for (const auto& worker : workers_) all += worker->standard_error() + "\n---\n";
    return all;
  }

  // All told apart by the time at which they are due: spread over the seconds from now on.
  void enqueue_due(const std::string& kind, int count, int seconds, const std::string& payload) {
    connection_.query(
        "WITH due AS MATERIALIZED (SELECT clock_timestamp() + random() * $3::int * interval '1 s' "
        "AS at FROM generate_series(1, $2::int)), job AS (SELECT relevo.enqueue($1, $4::jsonb, "
        "run_at => at, expires_at => at + interval '30 min') AS id, at FROM due), known AS (INSERT "
        "INTO test_due SELECT id, at FROM job) INSERT INTO test_job SELECT id, $1 FROM job",
        {kind, std::to_string(count), std::to_string(seconds), payload});
  }

  // Of the jobs' first runs: none early, none very late.
  void expect_in_time(const std::string& name) {
    const auto rows = connection_.query(
        "SELECT count(*) FILTER (WHERE r.at < d.at), count(*) FILTER (WHERE r.at > d.at + interval "
        "'10 s'), round(max(extract(epoch FROM r.at - d.at)) * 1000), count(*) FROM test_due d "
        "JOIN (SELECT job_id, min(at) AS at FROM test_run GROUP BY job_id) r USING (job_id)");
    EXPECT_EQ(rows[0][0], "0") << "began early";
    EXPECT_EQ(rows[0][1], "0") << "began late";
    report(name + ": jobs with a time " + *rows[0][3] + ", early " + *rows[0][0] +
           ", latest by ms " + *rows[0][2]);
  }

  JobWorld world_;
  Connection connection_ = world_.connect();
  FakeClock ahead_{1h};
  FakeClock behind_{-1h};
  std::vector<std::unique_ptr<Process>> workers_;
  std::int64_t epochs_ = 0;
};

TEST_F(WorkerClock, AnHourOffNothingRunsEarlyOrLateAndLanesStay) {
  enqueue_due("run", 200, 4, "{}");
  enqueue_due("audit", 200, 4, "{}");
  enqueue_due("fail_until", 20, 1, R"({"attempt": 3})");
  enqueue_due("snooze_once", 20, 1, "{}");
  connection_.exec(
      // In half an hour: already past for the one that is ahead.
      "SELECT relevo.enqueue('run', queue => 'far', run_at => clock_timestamp() + interval '30 "
      "min') FROM generate_series(1, 50);"
      // Gone when their time comes: not yet for the one that is behind.
      "SELECT relevo.enqueue('run', queue => 'gone', run_at => clock_timestamp() + interval '1 s', "
      "expires_at => clock_timestamp() + interval '500 ms') FROM generate_series(1, 50);"
      "SELECT relevo.enqueue('slow', queue => 'slow') FROM generate_series(1, 4);"
      "SELECT relevo.enqueue('held', queue => 'held', unique_key => 'k');");
  EXPECT_TRUE(eventually(60s, [&] {
    return connection_.number(
               "SELECT count(*) FROM relevo.job WHERE state < 2 AND queue <> 'far'") == 0;
  })) << errors();
  EXPECT_EQ(world_.number("SELECT count(*) FROM test_run r JOIN relevo.job j ON j.id = r.job_id "
                          "WHERE j.queue = 'far'"),
            0);
  EXPECT_EQ(world_.number("SELECT count(*) FROM relevo.job WHERE queue = 'far'"), 50);
  EXPECT_EQ(world_.number("SELECT count(*) FROM relevo.job_history WHERE queue = 'gone' AND "
                          "outcome = 'cancelled'"),
            50);
  EXPECT_EQ(world_.number("SELECT count(*) FROM relevo.jobs WHERE queue = 'slow' AND state = "
                          "'dead'"),
            4);
  EXPECT_EQ(world_.number("SELECT count(*) FROM relevo.lane WHERE expires > clock_timestamp() AND "
                          "expires < clock_timestamp() + interval '30 s'"),
            16);
  EXPECT_EQ(epochs(), epochs_) << "a lane changed hands";
  // Their logs tell what the clocks were.
  const auto first_line_at = [&](std::size_t worker) {
    const auto log = workers_[worker]->standard_error();
    return log.substr(0, log.find(' '));
  };
  EXPECT_EQ(connection_.value("SELECT $1::timestamptz - $2::timestamptz > interval '110 min'",
                              {first_line_at(0), first_line_at(1)}),
            "t")
      << errors();
  expect_in_time("workers' clocks an hour apart from the database's");
  workers_.clear();
  connection_.exec(
      "DELETE FROM test_run r USING relevo.job j WHERE j.id = r.job_id AND j.queue = 'slow';"
      "DELETE FROM test_run r USING relevo.job_history h WHERE h.job_id = r.job_id AND h.queue = "
      "'held'; DELETE FROM relevo.job WHERE queue IN ('far', 'slow')");
  EXPECT_EQ(world_.judge("workers' clocks an hour ahead and an hour behind"), "");
}

TEST_F(WorkerClock, SetByAnHourForthAndBackWhileItWorksChangesNothing) {
  constexpr int kJumps = 12;
  enqueue_due("run", 500, 8, "{}");
  enqueue_due("audit", 500, 8, "{}");
  enqueue_due("fail_until", 50, 6, R"({"attempt": 3})");
  enqueue_due("snooze_once", 50, 6, "{}");
  for (int jump = 0; jump < kJumps; ++jump) {
    const auto hours = std::chrono::hours(jump % 2 == 0 ? -1 : 1);
    ahead_.set_ahead(hours);
    behind_.set_ahead(-hours);
    const auto before = world_.number("SELECT count(*) FROM test_run");
    (void)eventually(600ms,
                     [&] { return world_.number("SELECT count(*) FROM test_run") > before + 200; });
  }
  EXPECT_TRUE(world_.wait_all_ended(60s)) << errors();
  EXPECT_EQ(epochs(), epochs_) << "a lane changed hands";
  expect_in_time("workers' clocks set " + std::to_string(2 * kJumps) + " times");
  EXPECT_EQ(world_.judge("workers' clocks set by two hours " + std::to_string(2 * kJumps) +
                         " times while they work"),
            "");
}

TEST(SchedulerClock, AnHourOffEachTickFiresOnceAndInTimeByTheDatabase) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer is in the way of libfaketime";
  JobWorld world;
  auto connection = world.connect();
  connection.exec(
      "SELECT relevo.schedule_put('pulse', 'pulse', every => '1 s');"
      "SELECT relevo.schedule_put('cron', 'cron', cron => '* * * * * *', missed => 'skip');"
      "SELECT relevo.schedule_put('far', 'far', at => clock_timestamp() + interval '30 min');"
      "SELECT relevo.schedule_put('soon', 'soon', at => clock_timestamp() + interval '5 s');");
  const FakeClock ahead(1h), behind(-1h);
  const auto scheduler = [&](const FakeClock& clock) {
    auto environment = clock.environment();
    environment["RELEVO_ROLES"] = "scheduler";
    return std::make_unique<Daemon>(DaemonOptions{
        world.url(), required_environment("RELEVO_TEST_KAFKA"), "none", "", environment});
  };
  std::array<std::unique_ptr<Daemon>, 2> both{scheduler(ahead), scheduler(behind)};
  const auto jobs = [&](const std::string& kind) {
    return connection.number("SELECT count(*) FROM relevo.job WHERE kind = $1", {kind});
  };
  ASSERT_TRUE(eventually(30s, [&] { return jobs("pulse") >= 1 && jobs("cron") >= 1; }))
      << both[0]->process().standard_error();
  const auto run_for = [&](int seconds) {
    const auto until = jobs("pulse") + seconds;
    return eventually(60s, [&] { return jobs("pulse") >= until; });
  };
  ASSERT_TRUE(run_for(4));
  // Alone, each in turn.
  both[0]->process().kill();
  ASSERT_TRUE(run_for(4)) << both[1]->process().standard_error();
  both[0] = scheduler(ahead);
  ASSERT_TRUE(both[0]->wait_ready());
  both[1]->process().kill();
  ASSERT_TRUE(run_for(4)) << both[0]->process().standard_error();
  both[0]->process().kill();
  EXPECT_EQ(jobs("far"), 0);
  EXPECT_EQ(jobs("soon"), 1);
  for (const auto* kind : {"pulse", "cron"}) {
    const auto rows = connection.query(
        "SELECT count(*), count(DISTINCT headers ->> 'tick'), 1 + extract(epoch FROM max((headers "
        "->> 'tick')::timestamptz) - min((headers ->> 'tick')::timestamptz))::int, count(*) FILTER "
        "(WHERE created_at < (headers ->> 'tick')::timestamptz), count(*) FILTER (WHERE created_at "
        "> (headers ->> 'tick')::timestamptz + interval '10 s') FROM relevo.job WHERE kind = $1",
        {kind});
    EXPECT_EQ(rows[0][0], rows[0][1]) << kind << ": a tick fired twice";
    EXPECT_EQ(rows[0][0], rows[0][2]) << kind << ": a tick did not fire";
    EXPECT_EQ(rows[0][3], "0") << kind << ": early";
    EXPECT_EQ(rows[0][4], "0") << kind << ": late";
    report("schedulers' clocks an hour ahead and behind, " + std::string(kind) + ": ticks " +
           *rows[0][2] + ", jobs " + *rows[0][0] + ", early " + *rows[0][3] + ", kills 3");
  }
}

}  // namespace
}  // namespace relevo::test
