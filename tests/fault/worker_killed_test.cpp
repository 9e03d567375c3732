// Processes of the worker fail: killed in mid-batch, or stopped for longer than their lease.
#include <gtest/gtest.h>

#include <csignal>
#include <random>

#include "support/eventually.hpp"
#include "support/jobs.hpp"

namespace relevo::test {
namespace {

using namespace std::chrono_literals;

TEST(WorkerKilled, FiftyTimesLosesNothingAndCompletesNothingTwice) {
  constexpr int kKills = 50;
  JobWorld world;
  JobWriters writers(world, 4, 2ms);
  std::mt19937_64 random(std::random_device{}());
  std::vector<std::unique_ptr<Process>> workers;
  // A job that happens to be in flight at three kills would be taken for their cause.
  const std::vector<std::string> never_quarantine{"--quarantine-after", "1000"};
  for (int i = 0; i < 3; ++i) {
    workers.push_back(world.worker("w" + std::to_string(i), never_quarantine));
  }
  auto connection = world.connect();
  for (int kill = 0; kill < kKills; ++kill) {
    const auto victim = random() % workers.size();
    // In the middle of its work: it holds claims.
    (void)eventually(
        3s,
        [&] {
          return connection.number(
                     "SELECT count(*) FROM relevo.lane WHERE holder LIKE $1 AND open <> '{}'",
                     {"w" + std::to_string(victim) + "%"}) > 0;
        },
        2ms);
    (void)workers[victim]->wait(std::chrono::milliseconds(random() % 300));
    workers[victim]->kill();
    workers[victim] =
        world.worker("w" + std::to_string(victim) + "." + std::to_string(kill), never_quarantine);
  }
  writers.stop();
  EXPECT_TRUE(world.wait_all_ended(60s));
  EXPECT_EQ(world.judge("workers killed 50 times"), "");
  EXPECT_GT(world.number("SELECT count(*) FROM relevo.job_attempt WHERE outcome = 'crash'"), 0)
      << "no kill hit a job in flight";
  // Only jobs in flight at a crash ran again, each counted.
  EXPECT_LE(world.number("SELECT coalesce(sum(n - 1), 0) FROM (SELECT count(*) AS n FROM test_run "
                         "GROUP BY job_id) x"),
            world.number("SELECT count(*) FROM relevo.job_attempt WHERE outcome = 'crash'"));
}

TEST(WorkerKilled, ItsJobsRunAgainWithinTheLeaseTime) {
  JobWorld world;
  auto victim = world.worker("victim");
  ASSERT_TRUE(world.wait_holds_lanes("victim", 16, 20s)) << victim->standard_error();
  world.connect().exec(
      "SELECT relevo.enqueue('sleep', '{\"ms\": 60000}') FROM generate_series(1, 5)");
  ASSERT_TRUE(eventually(10s, [&] { return world.number("SELECT count(*) FROM test_run") == 5; }));
  auto other = world.worker("other");
  victim->kill();
  const auto killed = std::chrono::steady_clock::now();
  ASSERT_TRUE(eventually(15s, [&] {
    return world.number("SELECT count(*) FROM test_run WHERE worker = 'other'") == 5;
  })) << other->standard_error();
  // Lease of 2 s, a look every 200 ms, and a crash's back-off of 1 s.
  EXPECT_LT(std::chrono::steady_clock::now() - killed, 12s);
}

TEST(WorkerKilled, ItsSuspectsShareAFewChildProcesses) {
  JobWorld world;
  auto victim = world.worker("victim");
  world.connect().exec(
      "INSERT INTO test_job SELECT relevo.enqueue('run'), 'run' FROM generate_series(1, 4000)");
  auto connection = world.connect();
  ASSERT_TRUE(eventually(
      30s, [&] { return connection.number("SELECT count(*) FROM test_run") > 500; }, 1ms));
  victim->kill();
  auto other = world.worker("other", {"--threads", "2"});
  EXPECT_TRUE(world.wait_all_ended(60s)) << other->standard_error();
  EXPECT_EQ(world.judge("a worker killed in the middle of a drain"), "");
  const auto suspects =
      world.number("SELECT count(*) FROM relevo.job_attempt WHERE outcome = 'crash'");
  ASSERT_GT(suspects, 3) << "too few to share anything";
  EXPECT_LE(world.number("SELECT count(DISTINCT pid) FROM test_run WHERE worker = 'other'"), 1 + 2)
      << "the worker and a child for each of its threads, for " << suspects << " suspects";
}

TEST(WorkerStopped, LongerThanItsLeaseItsResultsAreRefused) {
  JobWorld world;
  auto zombie = world.worker("zombie");
  ASSERT_TRUE(world.wait_holds_lanes("zombie", 16, 20s)) << zombie->standard_error();
  JobWriters writers(world, 2, 5ms);
  ASSERT_TRUE(eventually(10s, [&] { return world.number("SELECT count(*) FROM test_run") > 50; }));
  auto other = world.worker("other");
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(world.wait_holds_lanes("zombie", 4, 20s));
    zombie->signal(SIGSTOP);
    ASSERT_TRUE(world.wait_holds_lanes("other", 16, 20s)) << "nobody took over";
    zombie->signal(SIGCONT);
  }
  writers.stop();
  EXPECT_TRUE(world.wait_all_ended(30s));
  EXPECT_EQ(world.judge("worker stopped for longer than its lease 3 times"), "");
}

TEST(WorkerStops, HandsBackWhatItHadNotBegun) {
  JobWorld world;
  auto first = world.worker("first", {"--threads", "1"});
  ASSERT_TRUE(world.wait_holds_lanes("first", 16, 20s)) << first->standard_error();
  world.connect().exec(
      "SELECT relevo.enqueue('sleep', '{\"ms\": 1500}') FROM generate_series(1, 3)");
  ASSERT_TRUE(eventually(10s, [&] { return world.number("SELECT count(*) FROM test_run") > 0; }));
  first->signal(SIGTERM);
  const auto exit = first->wait(20s);
  ASSERT_TRUE(exit) << first->standard_error();
  EXPECT_EQ(exit->code, 0);
  EXPECT_EQ(world.number("SELECT count(*) FROM relevo.job WHERE attempts > 0 OR crashes > 0"), 0);
  EXPECT_EQ(world.number("SELECT count(*) FROM relevo.lane WHERE expires > clock_timestamp()"), 0);
  auto second = world.worker("second");
  EXPECT_TRUE(world.wait_all_ended(20s));
  EXPECT_EQ(world.number("SELECT count(*) FROM test_run"), 3);
}

}  // namespace
}  // namespace relevo::test
