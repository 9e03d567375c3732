// What reads the jobs of our lanes, on tables in memory: that it does not ask for nothing.
#include "intake.hpp"

#include <gtest/gtest.h>

#include "relevo/worker/registry.hpp"
#include "support/job_fakes.hpp"
#include "support/relay_fakes.hpp"

namespace relevo::worker {
namespace {

using namespace std::chrono_literals;

struct World {
  void take_lanes() {
    for (auto& row : session.lanes->take("me", 1min, 4)) intake.enter(lanes.add(std::move(row)));
    intake.lanes_added();
  }
  // Until there is nothing more to read, or no room.
  void read_all() {
    for (int i = 0; i < 100 && intake.read(); ++i) {
    }
  }

  test::FakeJobs jobs{4};
  JobSession session = jobs.connect();
  test::QuietLog log;
  test::FakeClock clock;
  Registry registry;
  Scheduler scheduler{registry};
  HeldLanes lanes;
  DatabaseClock database_clock{clock};
  Intake intake{session, lanes, scheduler, database_clock, {1ms, 25ms}, log, clock};
};

TEST(WorkerIntake, HasNothingToWaitForWithoutLanes) {
  World w;
  const auto calls = w.jobs.calls();
  EXPECT_FALSE(w.intake.read());
  EXPECT_EQ(w.intake.next_time(), core::BootTime::max());
  EXPECT_EQ(w.jobs.calls(), calls);
  w.take_lanes();
  EXPECT_LE(w.intake.next_time(), w.clock.now());
}

TEST(WorkerIntake, AsksForWhatIsDueNowAndThenWhileThereIsNoRoomForIt) {
  World w;
  test::FakeJobs::Row row;
  row.run_at = core::system_clock().wall() - 1h;
  for (int i = 0; i < 12'000; ++i) (void)w.jobs.put(row);
  w.take_lanes();
  w.read_all();
  ASSERT_FALSE(w.scheduler.has_room_for_due(row.job_class)) << "so that the class is full";
  w.intake.due_changed();
  (void)w.intake.read();
  const auto calls = w.jobs.calls();
  for (int i = 0; i < 10; ++i) (void)w.intake.read();
  EXPECT_EQ(w.jobs.calls(), calls);
  EXPECT_GT(w.intake.next_time(), w.clock.now());
  w.clock.advance(1s);
  (void)w.intake.read();
  EXPECT_GT(w.jobs.calls(), calls);
}

}  // namespace
}  // namespace relevo::worker
