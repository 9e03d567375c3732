#include "relevo/worker/schedule.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <ostream>
#include <set>
#include <stdexcept>

namespace relevo::worker {
namespace {

using namespace std::chrono;
using core::WallTime;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

WallTime at(int hour, int minute = 0, int second = 0) {
  return sys_days{year{2026} / 1 / 15} + hours(hour) + minutes(minute) + seconds(second);
}

const MissedPolicy kSkip{Missed::kSkip, 0};
const MissedPolicy kOnce{Missed::kOnce, 0};
MissedPolicy all(int max) { return {Missed::kAll, max}; }

Timing hourly() { return Timing::cron("0 * * * *", "UTC"); }

struct Case {
  const char* name;
  MissedPolicy policy;
  std::optional<WallTime> last;
  std::optional<WallTime> next;
  WallTime now;
  std::vector<WallTime> fire;
  std::optional<WallTime> then;
  std::int64_t missed;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

class PlanOfAnHourlySchedule : public testing::TestWithParam<Case> {};

TEST_P(PlanOfAnHourlySchedule, FiresTheseAndWaitsForThat) {
  const auto& c = GetParam();
  const auto result = plan(hourly(), c.policy, c.last, c.next, c.now);
  EXPECT_EQ(result.fire, c.fire);
  EXPECT_EQ(result.next, c.then);
  EXPECT_EQ(result.missed, c.missed);
}

const std::optional<WallTime> kNone;

INSTANTIATE_TEST_SUITE_P(
    Rows, PlanOfAnHourlySchedule,
    testing::Values(
        Case{"new", kOnce, kNone, kNone, at(3, 30), {}, at(4), 0},
        Case{"changed", kOnce, at(2), kNone, at(3, 30), {}, at(4), 0},
        Case{"not yet", kOnce, at(3), at(4), at(3, 59, 59), {}, at(4), 0},
        Case{"to the microsecond", kOnce, at(3), at(4), at(4) - microseconds(1), {}, at(4), 0},
        Case{"due", kOnce, at(3), at(4), at(4), {at(4)}, at(5), 0},
        Case{"late by less than a minute is on time",
             kSkip,
             at(3),
             at(4),
             at(4, 0, 59),
             {at(4)},
             at(5),
             0},
        Case{"a minute late is missed", kSkip, at(3), at(4), at(4, 1), {}, at(5), 1},
        Case{"skip", kSkip, at(3), at(4), at(9, 30), {}, at(10), 6},
        Case{"skip and one on time", kSkip, at(3), at(4), at(9, 0, 5), {at(9)}, at(10), 5},
        Case{"once", kOnce, at(3), at(4), at(9, 30), {at(9)}, at(10), 5},
        Case{"once and one on time", kOnce, at(3), at(4), at(9, 0, 5), {at(8), at(9)}, at(10), 4},
        Case{"all", all(100), at(3), at(4), at(6, 30), {at(4), at(5), at(6)}, at(7), 0},
        Case{"the newest of all", all(2), at(3), at(4), at(9, 30), {at(8), at(9)}, at(10), 4},
        Case{"all, at most none", all(0), at(3), at(4), at(9, 30), {}, at(10), 6},
        // The clock was set back: what was fired is not fired again.
        Case{"clock back, row as it was", kOnce, at(8), at(9), at(3), {}, at(9), 0},
        Case{"clock back, changed meanwhile", kOnce, at(8), kNone, at(3), {}, at(9), 0},
        Case{"next tick set back by hand", all(9), at(8), at(6), at(9, 0, 1), {at(9)}, at(10), 0}));

TEST(Plan, FiresASingleTimeOnceAndThenNeverAgain) {
  const auto timing = Timing::at(at(4));
  EXPECT_EQ(plan(timing, kOnce, kNone, kNone, at(3)).next, at(4));
  const auto due = plan(timing, kOnce, kNone, at(4), at(4));
  EXPECT_THAT(due.fire, ElementsAre(at(4)));
  EXPECT_EQ(due.next, kNone);
  const auto after = plan(timing, kOnce, at(4), kNone, at(5));
  EXPECT_THAT(after.fire, IsEmpty());
  EXPECT_EQ(after.next, kNone);
}

TEST(Plan, TreatsASingleTimeThatPassedAsMissed) {
  const auto timing = Timing::at(at(4));
  EXPECT_THAT(plan(timing, kOnce, kNone, kNone, at(9)).fire, ElementsAre(at(4)));
  const auto skipped = plan(timing, kSkip, kNone, kNone, at(9));
  EXPECT_THAT(skipped.fire, IsEmpty());
  EXPECT_EQ(skipped.missed, 1);
}

TEST(Plan, OfACenturyOfSecondsIsQuickAndKeepsTheNewest) {
  const auto timing = Timing::cron("* * * * * *", "Europe/Madrid");
  const WallTime now = sys_days{year{2126} / 1 / 1};
  const auto result = plan(timing, all(3), at(0), at(1), now);
  ASSERT_EQ(result.fire.size(), 3 + 60U);
  EXPECT_EQ(result.fire.front(), now - seconds(62));
  EXPECT_EQ(result.fire.back(), now);
  EXPECT_EQ(result.missed, 100'000 - 3);
  EXPECT_EQ(plan(timing, kOnce, at(0), at(1), now).fire.front(), now - seconds(60));
  EXPECT_EQ(plan(timing, kSkip, at(0), at(1), now).fire.size(), 60U);
}

TEST(Timing, EveryIsAMultipleSince1970WhateverTheStart) {
  const auto timing = Timing::every(minutes(90));
  EXPECT_EQ(timing.next(at(0)), at(1, 30));
  EXPECT_EQ(timing.next(at(1, 29, 59)), at(1, 30));
  EXPECT_EQ(timing.next(at(1, 30)), at(3));
  EXPECT_EQ(timing.next(WallTime(seconds(-1))), WallTime());
  EXPECT_EQ(timing.next(WallTime(-minutes(90))), WallTime());
  EXPECT_EQ(timing.next(WallTime(-minutes(90) - microseconds(1))), WallTime(-minutes(90)));
}

TEST(Timing, EndsWithTheYear2199) {
  const WallTime end = sys_days{year{2200} / 1 / 1};
  EXPECT_EQ(Timing::every(hours(1)).next(end - hours(1)), kNone);
  EXPECT_EQ(Timing::at(end - microseconds(1)).next(at(0)), end - microseconds(1));
  EXPECT_EQ(plan(Timing::every(hours(1)), kOnce, kNone, kNone, end).next, kNone);
}

TEST(Timing, RefusesAnIntervalThatIsTooShortOrTooLong) {
  EXPECT_THROW((void)Timing::every(milliseconds(999)), std::invalid_argument);
  EXPECT_THROW((void)Timing::every(milliseconds(-5'000)), std::invalid_argument);
  EXPECT_THROW((void)Timing::every(days(40'000)), std::invalid_argument);
  EXPECT_NO_THROW((void)Timing::every(milliseconds(1'000)));
}

TEST(Timing, RefusesATimeThatNeverFires) {
  const WallTime end = sys_days{year{2200} / 1 / 1};
  for (const auto time : {end, WallTime(sys_days{year{9999} / 12 / 31}), WallTime::max()}) {
    try {
      (void)Timing::at(time);
      FAIL() << "accepted";
    } catch (const std::invalid_argument& error) {
      EXPECT_THAT(error.what(), AllOf(HasSubstr("never fires"), HasSubstr("year 2199")));
    }
  }
  EXPECT_THROW((void)parse_timing({.cron = {}, .every = {}, .at = end}), std::invalid_argument);
}

TEST(ParseMissed, KnowsThreeWords) {
  EXPECT_EQ(parse_missed("skip"), Missed::kSkip);
  EXPECT_EQ(parse_missed("once"), Missed::kOnce);
  EXPECT_EQ(parse_missed("all"), Missed::kAll);
  EXPECT_THROW(parse_missed("never"), std::invalid_argument);
}

TEST(ParseInstant, ReadsRfc3339) {
  EXPECT_EQ(parse_instant("2026-01-15T04:05:06Z"), at(4, 5, 6));
  EXPECT_EQ(parse_instant("2026-01-15t04:05:06.25z"), at(4, 5, 6) + milliseconds(250));
  EXPECT_EQ(parse_instant("2026-01-15 04:05:06.1234567+00:00"),
            at(4, 5, 6) + microseconds(123'456));
  EXPECT_EQ(parse_instant("2026-01-15T09:35:06+05:30"), at(4, 5, 6));
  EXPECT_EQ(parse_instant("2026-01-14T23:05:06-05:00"), at(4, 5, 6));
  for (const auto* text : {"", "tomorrow", "2026-01-15", "2026-01-15T04:05Z", "2026-01-15T04:05:06",
                           "2026-02-30T04:05:06Z", "2026-01-15T24:00:00Z", "2026-01-15T04:05:06ZZ",
                           "2026-01-15T04:05:06.Z", "2026-01-15T04:05:06+0530"}) {
    EXPECT_THROW((void)parse_instant(text), std::invalid_argument) << text;
  }
}

// A daemon that looks at random moments, with a clock that is set forward and back, and rows that
// lose their next tick (a change of timing): no tick is fired twice, and none early.
RC_GTEST_PROP(Plan, NeverFiresATickTwiceNorEarly, ()) {
  const auto timing = *rc::gen::element(Timing::cron("*/7 * * * *", "Europe/Madrid"),
                                        Timing::cron("30 2 * * *", "Europe/Madrid"),
                                        Timing::every(minutes(11)), Timing::at(at(5)));
  const MissedPolicy policy{*rc::gen::element(Missed::kSkip, Missed::kOnce, Missed::kAll),
                            *rc::gen::inRange(0, 5)};
  std::optional<WallTime> last;
  std::optional<WallTime> next;
  std::set<WallTime> fired;
  WallTime now = at(0);
  for (const auto step : *rc::gen::container<std::vector<int>>(rc::gen::inRange(-20'000, 40'000))) {
    now += seconds(step);
    const auto result = plan(timing, policy, last, next, now);
    RC_ASSERT(result.missed >= 0);
    if (result.next) {
      RC_ASSERT(*result.next > now);
      RC_ASSERT((timing.next(*result.next - microseconds(1)) == result.next));
    }
    for (const auto tick : result.fire) {
      RC_ASSERT(tick <= now);
      RC_ASSERT(fired.insert(tick).second);
      if (last) RC_ASSERT(tick > *last);
      last = tick;
    }
    next = step % 13 == 0 ? std::nullopt : result.next;
  }
}

}  // namespace
}  // namespace relevo::worker
