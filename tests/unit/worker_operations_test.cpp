// Operations on all jobs that match, page by page, on tables in memory whose rows are locked and
// whose lanes change hands.
#include "operations.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "relevo/worker/registry.hpp"
#include "support/job_fakes.hpp"
#include "support/relay_fakes.hpp"

namespace relevo::worker {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr int kLanes = 4;

struct World {
  World() {
    for (auto& row : session.lanes->take("me", 1min, kLanes)) lanes.add(std::move(row));
  }
  void begin() { operations.begin(session.jobs->signals(lanes.working())); }
  bool step() {
    return operations.step(*session.jobs, [this](JobId id) {
      asked.push_back(id);
      return answer;
    });
  }
  // Turns until there is nothing to do.
  int steps() {
    int steps = 0;
    while (step()) ++steps;
    return steps;
  }
  void start(JobId id) {
    for (const auto& row : jobs.rows()) {
      if (row.at.id == id) lanes.find(jobs.lane_of(row))->open[id] = row.token;
    }
  }

  test::FakeJobs jobs{kLanes};
  JobSession session = jobs.connect();
  test::FakeClock clock;
  Registry registry;
  Scheduler scheduler{registry};
  HeldLanes lanes;
  Operations operations{lanes, scheduler, clock};
  Cancellation answer = Cancellation::kStopping;
  std::vector<JobId> asked;
};

TEST(WorkerOperations, TakeAPageATurnAndThenTellThatAllLanesAreDone) {
  World w;
  for (int i = 0; i < 10; ++i) (void)w.jobs.put({});
  const auto id = w.jobs.operate(true, "count");
  EXPECT_FALSE(w.step()) << "nobody asked yet";
  w.begin();
  EXPECT_TRUE(w.step());
  EXPECT_EQ(w.jobs.operation(id).changed, 3);
  EXPECT_EQ(w.jobs.operation(id).lanes_left, kLanes);
  EXPECT_GT(w.steps(), 3);
  EXPECT_EQ(w.jobs.operation(id).changed, 10);
  EXPECT_EQ(w.jobs.operation(id).lanes_left, 0);
  EXPECT_EQ(w.jobs.signals(), 0U);
  EXPECT_THAT(w.asked, IsEmpty());
}

TEST(WorkerOperations, ComeOneAfterTheOther) {
  World w;
  (void)w.jobs.put({});
  const auto first = w.jobs.operate(true, "another");
  const auto second = w.jobs.operate(true, "count");
  w.begin();
  w.begin();
  w.steps();
  EXPECT_EQ(w.jobs.operation(first).lanes_left, 0);
  EXPECT_EQ(w.jobs.operation(second).lanes_left, kLanes);
  w.begin();
  w.steps();
  EXPECT_EQ(w.jobs.operation(second).lanes_left, 0);
  EXPECT_EQ(w.jobs.operation(second).changed, 1);
}

TEST(WorkerOperations, LookAgainAtWhatSomebodyHasLocked) {
  World w;
  const auto locked = w.jobs.put({});
  w.jobs.lock(locked);
  const auto id = w.jobs.operate(true, "count");
  w.begin();
  EXPECT_TRUE(w.step());
  EXPECT_FALSE(w.step()) << "at once";
  w.clock.advance(20ms);
  EXPECT_TRUE(w.step());
  EXPECT_EQ(w.jobs.operation(id).lanes_left, kLanes);
  w.jobs.unlock(locked);
  w.clock.advance(20ms);
  EXPECT_EQ(w.steps(), 2) << "the page, and the telling";
  EXPECT_EQ(w.jobs.operation(id).changed, 1);
  EXPECT_EQ(w.jobs.operation(id).lanes_left, 0);
}

TEST(WorkerOperations, CountARunningJobOnceHoweverOftenItIsAsked) {
  World w;
  const auto running = w.jobs.put({});
  w.start(running);
  const auto locked = w.jobs.put({});  // on the same page
  w.jobs.lock(locked);
  const auto id = w.jobs.operate(true, "count");
  w.begin();
  w.steps();
  w.jobs.unlock(locked);
  w.answer = Cancellation::kDone;
  w.clock.advance(20ms);
  w.steps();
  EXPECT_THAT(w.asked, ElementsAre(running, running));
  EXPECT_EQ(w.jobs.operation(id).stopping, 1);
  EXPECT_EQ(w.jobs.operation(id).lanes_left, 0);
}

TEST(WorkerOperations, AskARunThatIsJustEndingUntilItIsKnownWhatBecomesOfIt) {
  World w;
  const auto ending = w.jobs.put({});
  w.start(ending);
  const auto id = w.jobs.operate(true, "count");
  w.begin();
  w.answer = Cancellation::kNotYet;
  for (int i = 0; i < 5; ++i) {
    w.steps();
    w.clock.advance(20ms);
  }
  EXPECT_EQ(w.jobs.operation(id).lanes_left, kLanes);
  w.answer = Cancellation::kDone;
  w.steps();
  EXPECT_EQ(w.jobs.operation(id).lanes_left, 0);
  EXPECT_EQ(w.jobs.operation(id).stopping, 0);
}

TEST(WorkerOperations, LeaveALaneThatIsLostOrLeavingToItsNextHolder) {
  World w;
  for (int i = 0; i < 20; ++i) (void)w.jobs.put({});
  const auto id = w.jobs.operate(true, "count");
  w.begin();
  w.lanes.remove(0);
  w.lanes.find(1)->leaving = true;
  ++w.lanes.find(2)->row.epoch;
  w.steps();
  EXPECT_EQ(w.jobs.operation(id).lanes_left, kLanes - 1);
  for (const auto& row : w.jobs.rows()) EXPECT_NE(w.jobs.lane_of(row), 3U);
  // With none left it is over, and another may begin.
  w.begin();
  w.lanes.clear();
  EXPECT_FALSE(w.step());
  EXPECT_EQ(w.jobs.operation(id).lanes_left, kLanes - 1);
}

TEST(WorkerOperations, BeginAnewAfterTheConnectionWasLost) {
  World w;
  for (int i = 0; i < 10; ++i) (void)w.jobs.put({});
  const auto id = w.jobs.operate(true, "count");
  w.begin();
  EXPECT_TRUE(w.step());
  w.operations.forget();
  EXPECT_FALSE(w.step());
  w.begin();
  w.steps();
  EXPECT_EQ(w.jobs.operation(id).changed, 10);
  EXPECT_EQ(w.jobs.operation(id).lanes_left, 0);
}

}  // namespace
}  // namespace relevo::worker
