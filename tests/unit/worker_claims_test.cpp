// What is known of jobs that were claimed while they run, end, are cancelled, or lose their lane.
#include "claims.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "relevo/worker/registry.hpp"
#include "support/relay_fakes.hpp"

namespace relevo::worker {
namespace {

using namespace std::chrono_literals;

constexpr feed::Slice kLane = 3;

struct World {
  World() {
    LaneRow row;
    row.lane = kLane;
    lanes.add(row);
  }
  // Selected and journalled.
  Claim* claim(JobId id) {
    JobRow row;
    row.at.id = id;
    row.token = 7;
    row.lane = kLane;
    row.queue = "default";
    row.kind = "count";
    row.headers = "{}";
    row.payload = "{}";
    scheduler.offer(row, nullptr);
    const Room room{1, 1, 1'000, [](feed::Slice) { return std::size_t{1}; }};
    auto selected = scheduler.select(clock.now(), room);
    auto claim = std::make_unique<Claim>();
    claim->job = std::move(selected.at(0).job);
    return claims.add(lane(), std::move(claim));
  }
  HeldLane& lane() { return *lanes.find(kLane); }

  test::FakeClock clock;
  Registry registry;
  Scheduler scheduler{registry};
  HeldLanes lanes;
  Claims claims{lanes, scheduler, clock};
};

TEST(WorkerClaims, AreInFlightUntilTheirEndIsWritten) {
  World w;
  auto* run = w.claim(1);
  EXPECT_EQ(w.claims.size(), 1U);
  EXPECT_EQ(w.claims.running(), 1U);
  EXPECT_TRUE(w.lane().open.contains(1));
  const auto ended = w.claims.end(run);
  EXPECT_TRUE(ended.ours);
  EXPECT_EQ(ended.claim.get(), run);
  EXPECT_FALSE(w.scheduler.is_running(1));
  EXPECT_EQ(w.claims.running(), 0U);
  EXPECT_TRUE(w.claims.contains(1)) << "its end may yet be lost";
  EXPECT_TRUE(w.lane().open.contains(1));
  w.claims.over({1, 7});
  EXPECT_EQ(w.claims.size(), 0U);
  EXPECT_FALSE(w.lane().open.contains(1));
  EXPECT_TRUE(w.lane().dirty);
  EXPECT_FALSE(w.scheduler.knows(1));
}

TEST(WorkerClaims, OutliveTheEndOfAnotherAttempt) {
  World w;
  (void)w.claim(1);
  w.claims.over({1, 6});
  EXPECT_TRUE(w.claims.contains(1));
  EXPECT_TRUE(w.lane().open.contains(1));
}

TEST(WorkerClaims, OfALostLaneAreAskedToStopAndEndAsNobodys) {
  World w;
  auto* run = w.claim(1);
  w.claims.drop_lane(kLane + 1);
  EXPECT_TRUE(w.claims.contains(1));
  w.claims.drop_lane(kLane);
  EXPECT_FALSE(w.claims.contains(1));
  EXPECT_FALSE(w.scheduler.is_running(1));
  EXPECT_EQ(w.claims.running(), 1U) << "its handler still works";
  EXPECT_TRUE(run->stop.stop_requested());
  const auto ended = w.claims.end(run);
  EXPECT_TRUE(ended.claim);
  EXPECT_FALSE(ended.ours);
}

TEST(WorkerClaims, AreNotEndedByARunOfATenureBefore) {
  World w;
  auto* before = w.claim(1);
  w.claims.drop_lane(kLane);
  auto* now = w.claim(1);
  EXPECT_FALSE(w.claims.end(before).ours);
  EXPECT_TRUE(w.scheduler.is_running(1));
  EXPECT_TRUE(w.claims.end(now).ours);
  EXPECT_FALSE(w.claims.end(now).claim) << "it is known no more";
}

TEST(WorkerClaims, AreCancelledOnceWhileTheyRun) {
  World w;
  EXPECT_FALSE(w.claims.cancel(1)) << "not claimed";
  auto* run = w.claim(1);
  EXPECT_EQ(w.claims.cancel(1), Cancellation::kStopping);
  EXPECT_TRUE(run->cancelled);
  EXPECT_TRUE(run->stop.stop_requested());
  EXPECT_EQ(w.claims.cancel(1), Cancellation::kDone);
  (void)w.claims.end(run);
  EXPECT_EQ(w.claims.cancel(1), Cancellation::kNotYet) << "it may come again";
}

TEST(WorkerClaims, TellWhenTheLastComesAgainThatDidNotCount) {
  World w;
  for (const JobId id : {1, 2}) (void)w.claims.end(w.claim(id));
  w.claims.comes_again(1, 500ms);
  w.clock.advance(1s);
  w.claims.over({1, 7});
  EXPECT_EQ(w.claims.comes_again_at(), w.clock.now() + 500ms) << "after its end was written";
  w.claims.over({2, 7});
  EXPECT_EQ(w.claims.comes_again_at(), w.clock.now() + 500ms) << "that one counted";
  w.claims.expect_again_by(w.clock.now() + 1s);
  w.claims.expect_again_by(w.clock.now());
  EXPECT_EQ(w.claims.comes_again_at(), w.clock.now() + 1s);
}

TEST(WorkerClaims, ThatWereRecalledLeaveTheirRowsToTheNextHolder) {
  World w;
  w.claims.recall(w.claim(1));
  EXPECT_EQ(w.claims.size(), 0U);
  EXPECT_EQ(w.claims.running(), 0U);
  EXPECT_TRUE(w.lane().open.contains(1));
}

}  // namespace
}  // namespace relevo::worker
