// The hourly look for jobs that were passed over, on tables in memory that are said to have some.
#include "sweep.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "relevo/worker/registry.hpp"
#include "support/job_fakes.hpp"
#include "support/relay_fakes.hpp"

namespace relevo::worker {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

struct World {
  World() {
    for (auto& row : session.lanes->take("me", 1min, 4)) lanes.add(std::move(row));
  }
  void step() { sweep.step(*session.jobs, intake); }
  // Pages of two rows.
  void steps(int pages) {
    for (int i = 0; i < pages; ++i) step();
  }
  bool was_freed(JobId id) const {
    for (const auto& row : jobs.rows()) {
      if (row.at.id == id) return row.token > 0;
    }
    return false;
  }
  static JobRow due(JobId id) {
    JobRow row;
    row.at.id = id;
    row.queue = "default";
    row.kind = "count";
    row.headers = "{}";
    row.payload = "{}";
    return row;
  }

  test::FakeJobs jobs{4};
  JobSession session = jobs.connect();
  test::QuietLog log;
  test::FakeClock clock;
  Registry registry;
  Scheduler scheduler{registry};
  HeldLanes lanes;
  Claims claims{lanes, scheduler, clock};
  DatabaseClock database_clock{clock};
  Intake intake{session, lanes, scheduler, database_clock, {1ms, 25ms}, log, clock};
  Sweep sweep{lanes, scheduler, claims, log, clock};
};

TEST(WorkerSweep, ComesTenMinutesAfterTheStartAndThenEveryHour) {
  World w;
  w.clock.advance(10min - 1s);
  w.steps(10);
  EXPECT_EQ(w.jobs.sweeps(), 0);
  w.clock.advance(1s);
  w.steps(10);
  EXPECT_EQ(w.jobs.sweeps(), 1);
  w.clock.advance(59min);
  w.steps(10);
  EXPECT_EQ(w.jobs.sweeps(), 1);
  w.clock.advance(1min);
  w.steps(10);
  EXPECT_EQ(w.jobs.sweeps(), 2);
}

TEST(WorkerSweep, SetsFreeWhatNobodyHoldsAndSaysSo) {
  World w;
  for (int i = 0; i < 5; ++i) (void)w.jobs.put({});
  const auto stuck = w.jobs.put({});
  w.jobs.suspect(stuck);
  w.clock.advance(10min);
  w.steps(2);
  EXPECT_FALSE(w.was_freed(stuck)) << "a page a turn";
  w.steps(1);
  EXPECT_TRUE(w.was_freed(stuck));
  EXPECT_THAT(w.log.lines, ElementsAre("jobs were stuck and are set free; please report this"));
}

TEST(WorkerSweep, StandsBackWhileJobsAreReady) {
  World w;
  w.scheduler.offer(w.due(1), nullptr);
  w.clock.advance(10min);
  w.steps(10);
  EXPECT_EQ(w.jobs.sweeps(), 0);
  w.scheduler.drop_lane(0);
  w.steps(10);
  EXPECT_EQ(w.jobs.sweeps(), 1);
}

TEST(WorkerSweep, LeavesAloneWhatIsKnownOrWasLeftInTheTable) {
  World w;
  const auto known = w.jobs.put({});
  w.jobs.suspect(known);
  w.scheduler.offer(w.due(known), nullptr);
  Room room{10, 10, 1'000, [](feed::Slice) { return std::size_t{10}; }};
  ASSERT_EQ(w.scheduler.select(w.clock.now(), room).size(), 1U) << "so that none is ready";
  w.clock.advance(10min);
  w.steps(10);
  EXPECT_EQ(w.jobs.sweeps(), 1);
  w.scheduler.ended(w.due(known));
  w.scheduler.forget({known, 0});
  w.scheduler.skip_from(1, Cursor{1, 0});
  w.clock.advance(1h);
  w.steps(10);
  EXPECT_EQ(w.jobs.sweeps(), 2);
  EXPECT_FALSE(w.was_freed(known));
  EXPECT_THAT(w.log.lines, IsEmpty());
}

TEST(WorkerSweep, WaitsForALane) {
  World w;
  w.lanes.clear();
  w.clock.advance(2h);
  w.steps(10);
  EXPECT_EQ(w.jobs.sweeps(), 0);
}

}  // namespace
}  // namespace relevo::worker
