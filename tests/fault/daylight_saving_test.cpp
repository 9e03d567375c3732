// Clocks are put forward and back while schedulers die: no tick twice, none missed. The database's
// clock is the test's, which runs through the night of the change in steps of half an hour.
#include <gtest/gtest.h>

#include <array>
#include <random>

#include "support/daemon.hpp"
#include "support/eventually.hpp"
#include "support/fake_clock.hpp"
#include "support/jobs.hpp"
#include "support/postgres_server.hpp"
#include "support/report.hpp"

namespace relevo::test {
namespace {

using namespace std::chrono_literals;
using Seconds = std::chrono::sys_seconds;

constexpr auto kStep = 30min;

struct Night {
  const char* name;
  Seconds begin;  // of the steps, in UTC
  // Minutes after `begin` of the ticks, by the schedule.
  std::vector<int> at_half_past_two;   // 30 2 * * *
  std::vector<int> half_hours_of_two;  // */30 2 * * *
  std::vector<int> even_hours;         // 0 */2 * * *
};
void PrintTo(const Night& night, std::ostream* out) { *out << night.name; }

// 21:00 to 04:00 UTC.
constexpr int kSteps = 14;

class DaylightSaving : public testing::TestWithParam<Night> {
 protected:
  static std::unique_ptr<Daemon> scheduler(const JobWorld& world) {
    return std::make_unique<Daemon>(DaemonOptions{world.url(),
                                                  required_environment("RELEVO_TEST_KAFKA"),
                                                  "none",
                                                  "",
                                                  {{"RELEVO_ROLES", "scheduler"}}});
  }

  void set(Seconds time) {
    clock_.set_ahead(time -
                     std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()));
  }

  static std::vector<int> minutes(const JobWorld& world, const std::string& kind, Seconds begin) {
    std::vector<int> all;
    for (const auto& row : world.connect().query(
             "SELECT (extract(epoch FROM (headers ->> 'tick')::timestamptz) - $2::bigint)::int / "
             "60 FROM relevo.job WHERE kind = $1 ORDER BY id",
             {kind, std::to_string(begin.time_since_epoch().count())})) {
      all.push_back(std::stoi(*row[0]));
    }
    return all;
  }

  FakeClock clock_;
};

TEST_P(DaylightSaving, WithSchedulersThatDieNoTickFiresTwiceOrIsMissed) {
  const auto& night = GetParam();
  set(night.begin - 1min);
  OwnPostgres postgres({}, clock_.environment());
  JobWorld world(postgres.url());
  auto connection = world.connect();
  // Whatever is a minute late is left out, and so would be found missing.
  for (const auto& [name, cron] :
       {std::pair{"all", "*/30 * * * *"}, std::pair{"night", "30 2 * * *"},
        std::pair{"halves", "*/30 2 * * *"}, std::pair{"even", "0 */2 * * *"}}) {
    connection.query(
        "SELECT relevo.schedule_put($1, $1, cron => $2, time_zone => 'Europe/Madrid', missed => "
        "'skip')",
        {name, cron});
  }
  std::array<std::unique_ptr<Daemon>, 2> schedulers{scheduler(world), scheduler(world)};
  ASSERT_TRUE(eventually(30s, [&] {
    return connection.number("SELECT count(*) FROM relevo.schedule WHERE next_tick IS NULL") == 0;
  })) << schedulers[0]->process().standard_error();

  std::mt19937_64 random(std::random_device{}());
  int kills = 0;
  std::vector<int> every;
  for (int step = 0; step <= kSteps; ++step) {
    // One or both die about the time at which they fire.
    const auto dying = step % 4;
    set(night.begin + step * kStep);
    if (dying != 0) {
      (void)schedulers[0]->process().wait(std::chrono::milliseconds(random() % 1'000));
      if ((dying & 1) != 0) schedulers[0]->process().kill();
      if ((dying & 2) != 0) schedulers[1]->process().kill();
      kills += dying == 3 ? 2 : 1;
      if ((dying & 1) != 0) schedulers[0] = scheduler(world);
      if ((dying & 2) != 0) schedulers[1] = scheduler(world);
    }
    every.push_back(step * 30);
    ASSERT_TRUE(
        eventually(30s, [&] { return minutes(world, "all", night.begin).size() == every.size(); }))
        << "at step " << step << '\n'
        << schedulers[0]->process().standard_error();
    // What fires at the same time may be a moment behind.
    ASSERT_TRUE(eventually(30s, [&] {
      return connection.number(
                 "SELECT count(*) FROM relevo.schedule WHERE next_tick <= "
                 "clock_timestamp()") == 0;
    }));
  }
  for (auto& each : schedulers) each->process().kill();
  EXPECT_EQ(minutes(world, "all", night.begin), every);
  EXPECT_EQ(minutes(world, "night", night.begin), night.at_half_past_two);
  EXPECT_EQ(minutes(world, "halves", night.begin), night.half_hours_of_two);
  EXPECT_EQ(minutes(world, "even", night.begin), night.even_hours);
  EXPECT_EQ(world.number("SELECT count(*) FROM relevo.job WHERE created_at < (headers ->> "
                         "'tick')::timestamptz"),
            0);
  report(std::string("schedules while clocks are put ") + night.name + ": ticks " +
         std::to_string(world.number("SELECT count(*) FROM relevo.job")) + ", twice 0, missed 0, " +
         "schedulers killed " + std::to_string(kills));
}

// Madrid, 2026. Forward at 01:00 UTC: 02:00 to 03:00 do not exist. Back at 01:00 UTC: they come
// twice.
INSTANTIATE_TEST_SUITE_P(
    , DaylightSaving,
    testing::Values(Night{"forward",
                          std::chrono::sys_days(std::chrono::year(2026) / 3 / 28) + 21h,
                          {240},
                          {240},
                          {0, 120, 300, 420}},
                    Night{"back",
                          std::chrono::sys_days(std::chrono::year(2026) / 10 / 24) + 21h,
                          {210},
                          {180, 210},
                          {60, 180, 240, 360}}),
    [](const auto& night) { return night.param.name; });

}  // namespace
}  // namespace relevo::test
