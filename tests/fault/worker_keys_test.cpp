// One concurrency key with a long backlog.
#include <gtest/gtest.h>

#include "support/eventually.hpp"
#include "support/jobs.hpp"
#include "support/report.hpp"

namespace relevo::test {
namespace {

using namespace std::chrono_literals;

TEST(WorkerKeys, TenThousandJobsOfOneKeyRunOneByOneInOrderAndDelayNoOther) {
  constexpr int kJobs = 10'000;
  JobWorld world;
  // One after the other, so the disk would set the pace: not what this is about.
  world.connect().exec(
      "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', "
      "current_database()); END $$");
  auto connection = world.connect();
  connection.query(
      "INSERT INTO test_job SELECT relevo.enqueue('alone', concurrency_key => 'k'), 'alone' FROM "
      "generate_series(1, $1::int)",
      {std::to_string(kJobs)});
  auto first = world.worker("first");
  auto second = world.worker("second");
  ASSERT_TRUE(world.wait_holds_lanes("first", 8, 20s)) << first->standard_error();
  ASSERT_TRUE(world.wait_holds_lanes("second", 8, 20s)) << second->standard_error();
  // All the while others come, and one more of the key now and then.
  const auto left = [&] {
    return connection.number("SELECT count(*) FROM relevo.job WHERE kind = 'alone' AND state < 2");
  };
  int others = 0;
  EXPECT_TRUE(eventually(
      120s,
      [&] {
        connection.exec(
            "INSERT INTO test_job SELECT relevo.enqueue('run'), 'run' FROM generate_series(1, 2)");
        others += 2;
        return left() == 0;
      },
      50ms))
      << left() << " are left\n"
      << first->standard_error();
  EXPECT_TRUE(world.wait_all_ended(30s));
  EXPECT_GT(others, 100) << "too soon over to tell anything about others";

  // In the order of enqueueing, which for one transaction is that of the ids.
  EXPECT_EQ(world.number("SELECT count(*) FROM (SELECT r.job_id < max(r.job_id) OVER (ORDER BY "
                         "r.at ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS late FROM "
                         "test_run r JOIN test_job t USING (job_id) WHERE t.kind = 'alone') x "
                         "WHERE late"),
            0);
  EXPECT_EQ(world.number("SELECT count(DISTINCT worker) FROM test_run r JOIN test_job t USING "
                         "(job_id) WHERE t.kind = 'alone'"),
            1)
      << "the key's lane moved";
  const auto waited = connection.query(
      "SELECT round(1000 * percentile_cont(0.5) WITHIN GROUP (ORDER BY s)), round(1000 * "
      "percentile_cont(0.99) WITHIN GROUP (ORDER BY s)), round(1000 * max(s)) FROM (SELECT "
      "extract(epoch FROM r.at - h.created_at) AS s FROM test_run r JOIN relevo.job_history h "
      "USING (job_id) WHERE h.kind = 'run') x");
  EXPECT_LT(std::stoi(*waited[0][1]), 2'000) << "others waited, ms at the 99th percentile";
  report("10,000 jobs of one key: others " + std::to_string(others) + ", waited ms p50 " +
         *waited[0][0] + ", p99 " + *waited[0][1] + ", longest " + *waited[0][2] +
         "; of the key in s " +
         connection.value("SELECT round(extract(epoch FROM max(r.at) - min(r.at)))::text FROM "
                          "test_run r JOIN test_job t USING (job_id) WHERE t.kind = 'alone'"));
  EXPECT_EQ(world.judge("10,000 jobs of one key, two workers"), "");
}

}  // namespace
}  // namespace relevo::test
