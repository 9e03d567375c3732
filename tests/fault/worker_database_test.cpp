// The database goes away under workers: the server restarts, backends end, replies to commits are
// lost.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>

#include "support/commit_reply_proxy.hpp"
#include "support/eventually.hpp"
#include "support/jobs.hpp"
#include "support/postgres_server.hpp"

namespace relevo::test {
namespace {

using namespace std::chrono_literals;

// A job that happens to be in flight whenever a lease lapses would be taken for the cause.
const std::vector<std::string> kNeverQuarantine{"--quarantine-after", "1000"};

struct TwoWorkers {
  explicit TwoWorkers(const JobWorld& world)
      : both{world.worker("a", kNeverQuarantine), world.worker("b", kNeverQuarantine)} {}

  bool running() {
    return std::all_of(both.begin(), both.end(), [](auto& worker) { return worker->running(); });
  }
  std::string errors() const {
    return both[0]->standard_error() + "\n---\n" + both[1]->standard_error();
  }

  std::array<std::unique_ptr<Process>, 2> both;
};

void enqueue_sleepers(const JobWorld& world, int count, int ms) {
  world.connect().query(
      "INSERT INTO test_job SELECT relevo.enqueue('sleep', jsonb_build_object('ms', $1::int)), "
      "'sleep' FROM generate_series(1, $2::int)",
      {std::to_string(ms), std::to_string(count)});
}

std::int64_t completed(const JobWorld& world) {
  return world.number("SELECT count(*) FROM relevo.job_history WHERE outcome = 'completed'");
}

// Whether further jobs are completed.
bool goes_on(const JobWorld& world) {
  const auto before = completed(world);
  return eventually(30s, [&] { return completed(world) > before + 50; });
}

TEST(WorkerPostgres, RestartedSixTimesLosesNothingAndCompletesNothingTwice) {
  constexpr int kRestarts = 6;
  OwnPostgres postgres;
  JobWorld world(postgres.url());
  TwoWorkers workers(world);
  JobWriters writers(world, 4, 2ms);
  for (int i = 0; i < kRestarts; ++i) {
    ASSERT_TRUE(goes_on(world)) << workers.errors();
    enqueue_sleepers(world, 8, 400);  // under way when it happens
    ASSERT_TRUE(eventually(
        10s,
        [&] { return world.number("SELECT count(*) FROM relevo.lane WHERE open <> '{}'") > 0; },
        2ms));
    if (i % 2 == 0) {
      postgres.restart_immediate();
    } else {
      postgres.stop();
      postgres.start();
    }
  }
  ASSERT_TRUE(goes_on(world)) << workers.errors();
  writers.stop();
  EXPECT_TRUE(world.wait_all_ended(60s)) << workers.errors();
  EXPECT_TRUE(workers.running()) << workers.errors();
  EXPECT_TRUE(workers.both[0]->find_line("outage")) << "no restart was noticed";
  EXPECT_EQ(world.judge("worker's PostgreSQL restarted " + std::to_string(kRestarts) + " times"),
            "");
}

TEST(WorkerPostgres, BackendsTerminatedAtRandomCostNoJob) {
  constexpr int kRounds = 300;
  JobWorld world;
  TwoWorkers workers(world);
  JobWriters writers(world, 4, 2ms);
  ASSERT_TRUE(goes_on(world)) << workers.errors();
  std::mt19937_64 random(std::random_device{}());
  auto connection = world.connect();
  std::int64_t terminated = 0;
  for (int round = 0; round < kRounds; ++round) {
    terminated += connection.number(
        "SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity WHERE "
        "datname = current_database() AND application_name = 'relevo' ORDER BY random() LIMIT 1) "
        "x");
    (void)workers.both[0]->wait(std::chrono::milliseconds(random() % 100));
  }
  EXPECT_GT(terminated, kRounds / 2) << "too few connections were hit";
  ASSERT_TRUE(goes_on(world)) << workers.errors();
  writers.stop();
  EXPECT_TRUE(world.wait_all_ended(60s)) << workers.errors();
  EXPECT_TRUE(workers.running()) << workers.errors();
  EXPECT_EQ(world.judge("worker's backends terminated " + std::to_string(terminated) + " times"),
            "");
}

TEST(WorkerPostgres, RepliesToCommitsLostLoseNothingAndRepeatNoEffect) {
  struct Lost {
    std::string statement;  // of the transaction whose reply is lost
    double chance;
    std::uint64_t wanted;
    std::atomic<std::uint64_t> times{0};
  };
  // The first that fits counts.
  std::array<Lost, 5> kinds{{{"test_effect", 0.05, 60},
                             {"job_finish", 0.3, 60},
                             {"lane_journal", 0.08, 30},
                             {"lane_renew", 0.6, 5},
                             {"lane", 0.1, 5}}};
  JobWorld world;
  std::atomic<bool> over{false};
  CommitReplyProxy proxy(world.url(), [&](const std::set<std::string>& statements) {
    thread_local std::mt19937_64 random(std::random_device{}());
    if (over) return false;
    for (auto& kind : kinds) {
      const bool fits = std::any_of(statements.begin(), statements.end(), [&](const auto& name) {
        return name.find(kind.statement) != std::string::npos;
      });
      if (!fits) continue;
      if (!std::bernoulli_distribution(kind.chance)(random)) return false;
      ++kind.times;
      return true;
    }
    return false;
  });
  world.lead_workers(proxy.url());
  TwoWorkers workers(world);
  JobWriters writers(world, 4, 2ms);
  auto connection = world.connect();
  // Calls of many jobs, too, whose one commit ends all of them.
  (void)eventually(
      60s,
      [&] {
        connection.exec(
            "INSERT INTO test_job SELECT relevo.enqueue('audit_batch'), 'audit' FROM "
            "generate_series(1, 20)");
        return std::all_of(kinds.begin(), kinds.end(),
                           [](const Lost& kind) { return kind.times >= kind.wanted; });
      },
      100ms);
  over = true;
  writers.stop();
  EXPECT_TRUE(world.wait_all_ended(60s)) << workers.errors();
  EXPECT_TRUE(workers.running()) << workers.errors();
  std::string times;
  for (const auto& kind : kinds) {
    EXPECT_GE(kind.times, kind.wanted) << kind.statement;
    times += (times.empty() ? "" : ", ") + kind.statement + " " + std::to_string(kind.times);
  }
  EXPECT_EQ(world.judge("worker's replies to COMMIT lost (" + times + ")"), "");
}

}  // namespace
}  // namespace relevo::test
