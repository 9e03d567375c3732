// Handlers that misbehave: each is told apart, none harms another job.
#include <gtest/gtest.h>

#include "support/eventually.hpp"
#include "support/jobs.hpp"

namespace relevo::test {
namespace {

using namespace std::chrono_literals;

std::string state_of(const JobWorld& world, const std::string& kind) {
  return world.connect().value(
      "SELECT string_agg(DISTINCT state, ',' ORDER BY state) FROM relevo.jobs WHERE kind = $1",
      {kind});
}

std::string error_of(const JobWorld& world, const std::string& kind) {
  return world.connect().value("SELECT max(error) FROM relevo.jobs WHERE kind = $1", {kind});
}

TEST(WorkerHandlers, OneThatThrowsIsRetriedThenDeadWithItsReason) {
  JobWorld world;
  world.connect().exec(
      "SELECT relevo.enqueue('throw', max_attempts => 3), relevo.enqueue('throw_int', max_attempts "
      "=> 2), relevo.enqueue('dead'), relevo.enqueue('cancel'), relevo.enqueue('late', "
      "expires_at => now()), relevo.enqueue('nobody', max_attempts => 1), "
      "relevo.enqueue('fail_until', '{\"attempt\": 3}'), "
      "relevo.enqueue('snooze_once')");
  auto worker = world.worker("w");
  EXPECT_TRUE(world.wait_all_ended(30s)) << worker->standard_error();
  EXPECT_EQ(state_of(world, "throw"), "dead");
  EXPECT_NE(error_of(world, "throw").find("thrown on purpose"), std::string::npos);
  EXPECT_EQ(state_of(world, "throw_int"), "dead");
  EXPECT_EQ(state_of(world, "dead"), "dead");
  EXPECT_EQ(state_of(world, "cancel"), "cancelled");
  EXPECT_EQ(state_of(world, "nobody"), "dead");
  EXPECT_NE(error_of(world, "nobody").find("no handler for kind \"nobody\""), std::string::npos);
  EXPECT_EQ(state_of(world, "fail_until"), "completed");
  EXPECT_EQ(state_of(world, "snooze_once"), "completed");
  EXPECT_EQ(world.number("SELECT count(*) FROM relevo.job_attempt a JOIN relevo.jobs j ON j.id = "
                         "a.job_id WHERE j.kind = 'throw'"),
            3);
  // The one that completed it: the snooze was none.
  EXPECT_EQ(world.number("SELECT attempts FROM relevo.job_history WHERE kind = 'snooze_once'"), 1);
  // It ran; what had expired never began.
  EXPECT_EQ(world.number("SELECT attempts FROM relevo.job_history WHERE kind = 'cancel'"), 1);
  EXPECT_EQ(state_of(world, "late"), "cancelled");
  EXPECT_EQ(world.number("SELECT attempts FROM relevo.job_history WHERE kind = 'late'"), 0);
}

TEST(WorkerHandlers, ThatFailAllTheTimeAreCancelledToTheLastJob) {
  JobWorld world;
  auto connection = world.connect();
  const auto failing =
      "SELECT relevo.enqueue('fail_until', '{\"attempt\": 1000}', max_attempts => "
      "1000) FROM generate_series(1, 3000)";
  connection.exec(failing);
  auto one = world.worker("one");
  auto two = world.worker("two");
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(eventually(20s, [&] {
      return connection.number("SELECT count(*) FROM relevo.job WHERE attempts > 0") > 300;
    })) << one->standard_error();
    const auto newest = connection.number("SELECT max(id) FROM relevo.job");
    const auto operation =
        connection.value("SELECT relevo.start_operation('cancel', '{\"kind\": \"fail_until\"}')");
    connection.exec(failing);  // not meant by it
    ASSERT_TRUE(eventually(40s, [&] {
      return connection.value(
                 "SELECT finished_at IS NOT NULL FROM relevo.job_operation WHERE id = "
                 "$1::bigint",
                 {operation}) == "t";
    }));
    // What it asked to stop may still be on its way.
    EXPECT_TRUE(eventually(10s,
                           [&] {
                             return connection.number(
                                        "SELECT count(*) FROM relevo.job WHERE id <= $1::bigint",
                                        {std::to_string(newest)}) == 0;
                           }))
        << connection.number("SELECT count(*) FROM relevo.job WHERE id <= $1::bigint",
                             {std::to_string(newest)})
        << " jobs are left";
    EXPECT_EQ(connection.number("SELECT count(*) FROM relevo.job WHERE id > $1::bigint",
                                {std::to_string(newest)}),
              3000);
  }
}

TEST(WorkerHandlers, OneThatKillsItsProcessIsQuarantinedAndHarmsNoOther) {
  JobWorld world;
  world.connect().exec(
      "INSERT INTO test_job SELECT relevo.enqueue('audit'), 'audit' FROM generate_series(1, 500);"
      "SELECT relevo.enqueue('abort');");
  auto first = world.worker("first");
  const auto exit = first->wait(20s);
  ASSERT_TRUE(exit) << "the killer did not kill\n" << first->standard_error();
  // The same suspects among which it was: now each in a process of its own.
  auto second = world.worker("second");
  ASSERT_TRUE(eventually(40s, [&] { return state_of(world, "abort") == "quarantined"; }))
      << second->standard_error();
  EXPECT_TRUE(world.wait_all_ended(40s));
  EXPECT_TRUE(second->running()) << "it took the worker with it";
  EXPECT_EQ(world.number("SELECT count(*) FROM relevo.job WHERE state = 3"), 1);
  EXPECT_EQ(world.number("SELECT count(*) FROM test_run r JOIN relevo.job j ON j.id = r.job_id"),
            3);
  EXPECT_NE(error_of(world, "abort").find("signal 6"), std::string::npos);
  world.connect().exec(
      "DELETE FROM relevo.job WHERE kind = 'abort'; DELETE FROM test_run WHERE job_id NOT IN "
      "(SELECT job_id FROM test_job)");
  EXPECT_EQ(world.judge("a handler that aborts"), "");
}

TEST(WorkerHandlers, OneThatLeaksIsQuarantinedAndHarmsNoOther) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer needs more addresses than the limit leaves";
  JobWorld world;
  world.connect().exec(
      "INSERT INTO test_job SELECT relevo.enqueue('audit'), 'audit' FROM generate_series(1, 300);"
      "SELECT relevo.enqueue('leak');");
  // What a container would be given; its children, too.
  const std::vector<std::string> limited{"--memory", "1500"};
  auto first = world.worker("first", limited);
  const auto exit = first->wait(30s);
  ASSERT_TRUE(exit) << "the leak did not end it\n" << first->standard_error();
  EXPECT_NE(exit->signal, 0);
  auto second = world.worker("second", limited);
  ASSERT_TRUE(eventually(40s, [&] { return state_of(world, "leak") == "quarantined"; }))
      << second->standard_error();
  EXPECT_TRUE(world.wait_all_ended(40s));
  EXPECT_TRUE(second->running()) << "it took the worker with it";
  EXPECT_EQ(world.number("SELECT crashes FROM relevo.job WHERE state = 3"), 3);
  world.connect().exec(
      "DELETE FROM relevo.job WHERE kind = 'leak'; DELETE FROM test_run WHERE job_id NOT IN "
      "(SELECT job_id FROM test_job)");
  EXPECT_EQ(world.judge("a handler that leaks"), "");
}

TEST(WorkerHandlers, OneThatIgnoresItsTimeLimitCostsTheProcessButNoJob) {
  JobWorld world;
  auto worker = world.worker("w", {"--give-up", "1000", "--threads", "2"});
  ASSERT_TRUE(world.wait_holds_lanes("w", 16, 20s)) << worker->standard_error();
  world.connect().exec(
      "SELECT relevo.enqueue('loop'); INSERT INTO test_job SELECT relevo.enqueue('run'), 'run' "
      "FROM "
      "generate_series(1, 200); SELECT relevo.enqueue('slow');");
  ASSERT_TRUE(eventually(20s, [&] { return state_of(world, "loop") == "dead"; }))
      << worker->standard_error();
  EXPECT_NE(error_of(world, "loop").find("time limit"), std::string::npos);
  const auto exit = worker->wait(20s);
  ASSERT_TRUE(exit) << "the process was not given up\n" << worker->standard_error();
  EXPECT_EQ(exit->code, 1);
  auto next = world.worker("next");
  EXPECT_TRUE(world.wait_all_ended(30s));
  EXPECT_EQ(state_of(world, "run"), "completed");
  EXPECT_EQ(state_of(world, "slow"), "dead");
}

TEST(WorkerHandlers, ABatchWithABadJobIsRunSingly) {
  JobWorld world;
  world.connect().exec(
      "INSERT INTO test_job SELECT relevo.enqueue('audit_batch', jsonb_build_object('bad', n = "
      "50)), "
      "'audit' FROM generate_series(1, 100) n");
  auto worker = world.worker("w");
  EXPECT_TRUE(world.wait_all_ended(30s)) << worker->standard_error();
  EXPECT_EQ(world.number("SELECT count(*) FROM relevo.job WHERE state = 2"), 1);
  EXPECT_EQ(world.number("SELECT count(*) FROM test_effect"), 99);
  EXPECT_EQ(world.number("SELECT count(DISTINCT job_id) FROM test_effect"), 99);
}

}  // namespace
}  // namespace relevo::test
