#include "relevo/worker/cron.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <ostream>
#include <stdexcept>
#include <vector>

namespace relevo::worker {
namespace {

using namespace std::chrono;
using ::testing::HasSubstr;

sys_seconds utc(int y, unsigned m, unsigned d, int h = 0, int min = 0, int s = 0) {
  return sys_days{year{y} / month{m} / day{d}} + hours(h) + minutes(min) + seconds(s);
}

std::string text_of(sys_seconds time) {
  const auto day = floor<days>(time);
  const year_month_day date(day);
  const hh_mm_ss clock(time - day);
  char text[64];
  std::snprintf(text, sizeof text, "%04d-%02u-%02u %02d:%02d:%02d", int{date.year()},
                unsigned{date.month()}, unsigned{date.day()},
                static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                static_cast<int>(clock.seconds().count()));
  return text;
}

std::vector<std::string> ticks(std::string_view cron, const char* zone, sys_seconds after,
                               std::size_t count) {
  const auto parsed = Cron::parse(cron);
  const auto where = TimeZone::find(zone);
  std::vector<std::string> all;
  while (all.size() < count) {
    const auto next = parsed.next(after, where);
    if (!next) {
      all.emplace_back("none");
      break;
    }
    all.push_back(text_of(*next));
    after = *next;
  }
  return all;
}

std::string problem_of(std::string_view cron) {
  try {
    (void)Cron::parse(cron);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "no error";
}

struct Case {
  const char* cron;
  sys_seconds after;
  std::vector<std::string> expected;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.cron; }

class CronFields : public testing::TestWithParam<Case> {};

TEST_P(CronFields, FireAtTheseTimesInUtc) {
  const auto& [cron, after, expected] = GetParam();
  EXPECT_EQ(ticks(cron, "UTC", after, expected.size()), expected);
}

const auto kStart = utc(2026, 1, 1);  // a Thursday

INSTANTIATE_TEST_SUITE_P(
    Syntax, CronFields,
    testing::Values(Case{"* * * * *", kStart, {"2026-01-01 00:01:00", "2026-01-01 00:02:00"}},
                    Case{"  0\t3 * *   * ", kStart, {"2026-01-01 03:00:00", "2026-01-02 03:00:00"}},
                    Case{"*/20 * * * *", kStart, {"2026-01-01 00:20:00", "2026-01-01 00:40:00"}},
                    Case{"5/25 * * * *",
                         kStart,
                         {"2026-01-01 00:05:00", "2026-01-01 00:30:00", "2026-01-01 00:55:00",
                          "2026-01-01 01:05:00"}},
                    Case{"10-20/5,59 8 * * *",
                         kStart,
                         {"2026-01-01 08:10:00", "2026-01-01 08:15:00", "2026-01-01 08:20:00",
                          "2026-01-01 08:59:00", "2026-01-02 08:10:00"}},
                    Case{"*/30 * * * * *", kStart, {"2026-01-01 00:00:30", "2026-01-01 00:01:00"}},
                    Case{"7 0 0 1 jan ?", kStart, {"2026-01-01 00:00:07", "2027-01-01 00:00:07"}},
                    Case{
                        "0 12 * mar,Nov *", kStart, {"2026-03-01 12:00:00", "2026-03-02 12:00:00"}},
                    Case{"@yearly", kStart, {"2027-01-01 00:00:00"}},
                    Case{"@Annually", kStart, {"2027-01-01 00:00:00"}},
                    Case{"@monthly", kStart, {"2026-02-01 00:00:00"}},
                    Case{"@weekly", kStart, {"2026-01-04 00:00:00"}},
                    Case{"@daily", kStart, {"2026-01-02 00:00:00"}},
                    Case{"@midnight", kStart, {"2026-01-02 00:00:00"}},
                    Case{"@hourly", kStart, {"2026-01-01 01:00:00"}}));

INSTANTIATE_TEST_SUITE_P(
    DaysOfTheWeek, CronFields,
    testing::Values(
        // 0 and 7 are Sunday, 1 is Monday.
        Case{"0 0 * * 0", kStart, {"2026-01-04 00:00:00", "2026-01-11 00:00:00"}},
        Case{"0 0 * * 7", kStart, {"2026-01-04 00:00:00", "2026-01-11 00:00:00"}},
        Case{"0 0 * * 1", kStart, {"2026-01-05 00:00:00"}},
        Case{"0 0 * * sun", kStart, {"2026-01-04 00:00:00"}},
        Case{"0 0 * * SAT-SUN",
             kStart,
             {"2026-01-03 00:00:00", "2026-01-04 00:00:00", "2026-01-10 00:00:00"}},
        Case{"0 0 * * 5-7",
             kStart,
             {"2026-01-02 00:00:00", "2026-01-03 00:00:00", "2026-01-04 00:00:00",
              "2026-01-09 00:00:00"}},
        Case{"0 0 * * 5L", kStart, {"2026-01-30 00:00:00", "2026-02-27 00:00:00"}},
        Case{"0 0 * * FRIL", kStart, {"2026-01-30 00:00:00", "2026-02-27 00:00:00"}},
        Case{"0 0 ? * FRI#2", kStart, {"2026-01-09 00:00:00", "2026-02-13 00:00:00"}},
        Case{"0 0 * * 5#5", kStart, {"2026-01-30 00:00:00", "2026-05-29 00:00:00"}},
        Case{"0 0 * 2 7#5", kStart, {"2032-02-29 00:00:00", "2060-02-29 00:00:00"}}));

INSTANTIATE_TEST_SUITE_P(
    DaysOfTheMonth, CronFields,
    testing::Values(
        Case{"0 0 L * *", kStart, {"2026-01-31 00:00:00", "2026-02-28 00:00:00"}},
        Case{"0 0 L 2 ?",
             kStart,
             {"2026-02-28 00:00:00", "2027-02-28 00:00:00", "2028-02-29 00:00:00"}},
        Case{"0 0 L-3 * ?", kStart, {"2026-01-28 00:00:00", "2026-02-25 00:00:00"}},
        Case{"0 0 1,L * *", kStart, {"2026-01-31 00:00:00", "2026-02-01 00:00:00"}},
        // 2026-02-15 is a Sunday, 2026-08-15 a Saturday.
        Case{"0 0 15W 2,8 ?", kStart, {"2026-02-16 00:00:00", "2026-08-14 00:00:00"}},
        // Never into another month: 2026-08-01 is a Saturday, 2026-05-31 a Sunday.
        Case{"0 0 1W 8 ?", kStart, {"2026-08-03 00:00:00"}},
        Case{"0 0 31W 4,5 ?", kStart, {"2026-05-29 00:00:00"}},
        Case{"0 0 LW 1,2,5 ?",
             kStart,
             {"2026-01-30 00:00:00", "2026-02-27 00:00:00", "2026-05-29 00:00:00"}},
        Case{"0 0 31 * *", kStart, {"2026-01-31 00:00:00", "2026-03-31 00:00:00"}},
        Case{"0 0 29 2 *", utc(2096, 3, 1), {"2104-02-29 00:00:00", "2108-02-29 00:00:00"}}));

INSTANTIATE_TEST_SUITE_P(
    BothDayFields, CronFields,
    testing::Values(
        // Both restricted: either will do.
        Case{"0 0 13 * FRI",
             kStart,
             {"2026-01-02 00:00:00", "2026-01-09 00:00:00", "2026-01-13 00:00:00",
              "2026-01-16 00:00:00"}},
        Case{"0 0 30 2 MON", kStart, {"2026-02-02 00:00:00"}},
        // One begins with a star: both must hold.
        Case{"0 0 */2 * MON", kStart, {"2026-01-05 00:00:00", "2026-01-19 00:00:00"}},
        Case{"0 0 1-7 * */3",
             kStart,
             {"2026-01-03 00:00:00", "2026-01-04 00:00:00", "2026-01-07 00:00:00",
              "2026-02-01 00:00:00"}}));

INSTANTIATE_TEST_SUITE_P(
    Ends, CronFields,
    testing::Values(Case{"59 59 23 31 12 *",
                         utc(2198, 1, 1),
                         {"2198-12-31 23:59:59", "2199-12-31 23:59:59", "none"}},
                    Case{"* * * * * *",
                         utc(2026, 12, 31, 23, 59, 58),
                         {"2026-12-31 23:59:59", "2027-01-01 00:00:00"}},
                    Case{"* * * * *", utc(2028, 2, 28, 23, 59), {"2028-02-29 00:00:00"}},
                    Case{"* * * * *", utc(2100, 2, 28, 23, 59), {"2100-03-01 00:00:00"}},
                    Case{"* * * * *", sys_days{year{2500} / 1 / 1}, {"none"}},
                    Case{"0 0 1 1 *", sys_days{year{-4000} / 1 / 1}, {"1900-01-01 00:00:00"}}));

TEST(Cron, NextIsLaterEvenThanAFractionOfASecondAfterATick) {
  const auto cron = Cron::parse("* * * * * *");
  EXPECT_EQ(cron.next(kStart + microseconds(1), {}), kStart + seconds(1));
  EXPECT_EQ(cron.next(kStart - microseconds(1), {}), kStart);
}

TEST(Cron, TellsWhatIsWrongWhereAndWhatToDo) {
  EXPECT_EQ(problem_of("0 25 * * *"),
            "cron \"0 25 * * *\": hour \"25\": is out of range; give 0 to 23");
  EXPECT_EQ(
      problem_of("0 0 30 2 *"),
      "cron \"0 0 30 2 *\": never fires: February has no day 30; correct the day or the month");
  EXPECT_EQ(
      problem_of("0 0 31 4,JUN *"),
      "cron \"0 0 31 4,JUN *\": never fires: none of April, June has a day 31; correct the day "
      "or the month");
  EXPECT_THAT(problem_of("0 0 31W 4 *"), HasSubstr("never fires: April has no such day"));
  EXPECT_THAT(problem_of("0 0 * * L"), HasSubstr("day of week \"L\": does not say which day"));
  EXPECT_THAT(problem_of("0 0 * * MON#6"), HasSubstr("give 1 to 5"));
  EXPECT_THAT(problem_of("0 0 * * 8"), HasSubstr("give 0 to 7, or SUN to SAT"));
  EXPECT_THAT(problem_of("*/90 * * * *"), HasSubstr("the step is to be 1 to 59"));
  EXPECT_THAT(problem_of("*/0 * * * *"), HasSubstr("the step is to be 1 to 59"));
  EXPECT_THAT(problem_of("0 22-2 * * *"), HasSubstr("hour \"22-2\": runs backwards"));
  EXPECT_THAT(problem_of("? * * * *"), HasSubstr("two day fields only"));
  EXPECT_THAT(problem_of("@reboot"), HasSubstr("no such short form"));
  EXPECT_THAT(problem_of("* * * *"), HasSubstr("has 4 fields"));
  EXPECT_THAT(problem_of("0 0 0 1 1 ? 2026"), HasSubstr("has 7 fields"));
  EXPECT_THAT(problem_of(""), HasSubstr("has 0 fields"));
  EXPECT_THAT(problem_of(std::string(1'000'000, '*')), HasSubstr("is longer than 255"));
  for (const auto* text :
       {"a * * * *", "-1 * * * *", "1- * * * *", "1,,2 * * * *", "1/ * * * *",
        "99999999999 * * * *", "* * * JANUARY *", "* * W * *", "* * L-31 * *", "* * 3L * *",
        "* * * * 5W", "1.5 * * * *", "* * * * #", "0x1 * * * *", "*5 * * * *", "* * -L * *"}) {
    EXPECT_NE(problem_of(text), "no error") << text;
  }
}

struct Change {
  const char* cron;
  const char* zone;
  sys_seconds after;
  std::vector<std::string> expected;
};
void PrintTo(const Change& c, std::ostream* out) { *out << c.cron << " in " << c.zone; }

class CronAtAChangeOfOffset : public testing::TestWithParam<Change> {};

TEST_P(CronAtAChangeOfOffset, FiresAtTheseInstants) {
  const auto& [cron, zone, after, expected] = GetParam();
  EXPECT_EQ(ticks(cron, zone, after, expected.size()), expected);
}

INSTANTIATE_TEST_SUITE_P(
    AFixedHour, CronAtAChangeOfOffset,
    testing::Values(
        // 02:00 -> 03:00 at 01:00 UTC: once, at the first instant after the gap.
        Change{"30 2 * * *",
               "Europe/Madrid",
               utc(2026, 3, 28),
               {"2026-03-28 01:30:00", "2026-03-29 01:00:00", "2026-03-30 00:30:00"}},
        Change{"*/15 2 * * *",
               "Europe/Madrid",
               utc(2026, 3, 29),
               {"2026-03-29 01:00:00", "2026-03-30 00:00:00"}},
        Change{"30 2,3 * * *",
               "Europe/Madrid",
               utc(2026, 3, 29),
               {"2026-03-29 01:00:00", "2026-03-29 01:30:00", "2026-03-30 00:30:00"}},
        Change{"0 3 * * *",
               "Europe/Madrid",
               utc(2026, 3, 29),
               {"2026-03-29 01:00:00", "2026-03-30 01:00:00"}},
        // 03:00 -> 02:00 at 01:00 UTC: the first of the two.
        Change{"30 2 * * *",
               "Europe/Madrid",
               utc(2026, 10, 24),
               {"2026-10-24 00:30:00", "2026-10-25 00:30:00", "2026-10-26 01:30:00"}},
        // Started between the two.
        Change{"30 2 * * *", "Europe/Madrid", utc(2026, 10, 25, 1, 10), {"2026-10-26 01:30:00"}},
        Change{"0 3 * * *", "Europe/Madrid", utc(2026, 10, 25), {"2026-10-25 02:00:00"}},
        // Half an hour: 02:00 -> 02:30, and back.
        Change{"15 2 * * *",
               "Australia/Lord_Howe",
               utc(2026, 10, 2),
               {"2026-10-02 15:45:00", "2026-10-03 15:30:00", "2026-10-04 15:15:00"}},
        Change{"15,30 2 * * *",
               "Australia/Lord_Howe",
               utc(2026, 10, 3),
               {"2026-10-03 15:30:00", "2026-10-04 15:15:00"}},
        Change{"45 1 * * *",
               "Australia/Lord_Howe",
               utc(2026, 4, 3, 20),
               {"2026-04-04 14:45:00", "2026-04-05 15:15:00"}},
        // At midnight: 00:00 -> 01:00, and 00:00 -> 23:00 of the day before.
        Change{"30 0 * * *",
               "America/Sao_Paulo",
               utc(2018, 11, 3),
               {"2018-11-03 03:30:00", "2018-11-04 03:00:00", "2018-11-05 02:30:00"}},
        Change{"30 23 * * *",
               "America/Sao_Paulo",
               utc(2018, 2, 17, 12),
               {"2018-02-18 01:30:00", "2018-02-19 02:30:00"}},
        Change{"@daily",
               "America/Sao_Paulo",
               utc(2018, 11, 3, 12),
               {"2018-11-04 03:00:00", "2018-11-05 02:00:00"}},
        Change{"30 2 * * *",
               "America/Sao_Paulo",
               utc(2024, 11, 2),  // no more since 2019
               {"2024-11-02 05:30:00", "2024-11-03 05:30:00"}},
        // Never any.
        Change{"30 2 * * *",
               "America/Bogota",
               utc(2026, 3, 28),
               {"2026-03-28 07:30:00", "2026-03-29 07:30:00"}},
        // A whole day was left out.
        Change{"0 12 * * *",
               "Pacific/Apia",
               utc(2011, 12, 29),
               {"2011-12-29 22:00:00", "2011-12-30 10:00:00", "2011-12-30 22:00:00"}}));

INSTANTIATE_TEST_SUITE_P(FollowingTheClock, CronAtAChangeOfOffset,
                         testing::Values(Change{"*/30 * * * *",
                                                "Europe/Madrid",
                                                utc(2026, 3, 29, 0, 20),
                                                {"2026-03-29 00:30:00", "2026-03-29 01:00:00",
                                                 "2026-03-29 01:30:00"}},
                                         Change{"*/30 * * * *",
                                                "Europe/Madrid",
                                                utc(2026, 10, 25, 0, 20),
                                                {"2026-10-25 00:30:00", "2026-10-25 01:00:00",
                                                 "2026-10-25 01:30:00", "2026-10-25 02:00:00"}},
                                         Change{"0 */2 * * *",
                                                "Europe/Madrid",
                                                utc(2026, 3, 28, 23),
                                                {"2026-03-29 02:00:00", "2026-03-29 04:00:00"}},
                                         Change{"0 0-23 * * *",
                                                "Europe/Madrid",
                                                utc(2026, 3, 29),
                                                {"2026-03-29 01:00:00", "2026-03-29 02:00:00"}},
                                         Change{"*/15 * * * *",
                                                "Australia/Lord_Howe",
                                                utc(2026, 10, 3, 15, 15),
                                                {"2026-10-03 15:30:00", "2026-10-03 15:45:00"}},
                                         Change{"0 * * * *",
                                                "Australia/Lord_Howe",
                                                utc(2026, 4, 4, 13, 30),
                                                {"2026-04-04 14:00:00", "2026-04-04 15:30:00"}}));

INSTANTIATE_TEST_SUITE_P(
    BeyondTheTables, CronAtAChangeOfOffset,
    testing::Values(Change{"30 2 * * *",
                           "Europe/Madrid",
                           utc(2099, 3, 28),
                           {"2099-03-28 01:30:00", "2099-03-29 01:00:00", "2099-03-30 00:30:00"}},
                    Change{"30 2 * * *",
                           "Europe/Madrid",
                           utc(2099, 10, 24),
                           {"2099-10-24 00:30:00", "2099-10-25 00:30:00", "2099-10-26 01:30:00"}},
                    Change{"15 2 * * *",
                           "Australia/Lord_Howe",
                           utc(2050, 10, 1),
                           {"2050-10-01 15:30:00", "2050-10-02 15:15:00"}},
                    Change{"0 0 1 7 *", "Europe/Dublin", utc(2060, 1, 1), {"2060-06-30 23:00:00"}},
                    Change{
                        "0 0 1 7 *", "America/Bogota", utc(2060, 1, 1), {"2060-07-01 05:00:00"}}));

TEST(TimeZone, NamesTheNearestWhenThereIsNoneOfThatName) {
  const auto problem = [](std::string_view name) {
    try {
      (void)TimeZone::find(name);
    } catch (const std::invalid_argument& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_EQ(problem("Europe/Madird"),
            "time zone \"Europe/Madird\": there is none of this name; did you mean "
            "\"Europe/Madrid\"?");
  EXPECT_THAT(problem("europe/madrid"), HasSubstr("did you mean \"Europe/Madrid\"?"));
  EXPECT_THAT(problem("new york"), HasSubstr("did you mean \"America/New_York\"?"));
  EXPECT_THAT(problem("Mars/Olympus_Mons"), HasSubstr("give an IANA name"));
  EXPECT_THAT(problem(""), HasSubstr("give an IANA name"));
  EXPECT_THAT(problem("../../etc/passwd"), HasSubstr("there is none"));
  EXPECT_EQ(problem("Europe/Belfast"), "no error");
  EXPECT_EQ(problem("Etc/GMT+3"), "no error");
}

TEST(TimeZone, RulesForTheTimeAfterTheTablesAreReadInEveryForm) {
  const auto offset = [](std::string_view rule, sys_seconds at) {
    return DaylightRule::parse(rule).value().period(at).offset;
  };
  constexpr auto kLordHowe = "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0";
  EXPECT_EQ(offset(kLordHowe, utc(2050, 1, 1)), hours(11));
  EXPECT_EQ(offset(kLordHowe, utc(2050, 7, 1)), hours(10) + minutes(30));
  constexpr auto kNuuk = "<-02>2<-01>,M3.5.0/-1,M10.5.0/0";
  EXPECT_EQ(offset(kNuuk, utc(2050, 3, 27, 0, 59)), hours(-2));
  EXPECT_EQ(offset(kNuuk, utc(2050, 3, 27, 1, 0)), hours(-1));
  constexpr auto kJulian = "<+0330>-3:30<+0430>,J79/24,J263/24";
  EXPECT_EQ(offset(kJulian, utc(2052, 3, 20, 20, 29)), hours(3) + minutes(30));
  EXPECT_EQ(offset(kJulian, utc(2052, 3, 20, 20, 30)), hours(4) + minutes(30));
  EXPECT_EQ(offset("AAA0BBB,59/0,60/0", utc(2052, 2, 29, 12)), hours(1));  // day 59 from 0
  for (const auto* none : {"UTC0", "<-05>5", "", "CET", "CET-1CEST", "CET-1CEST,M13.1.0,M1.1.0",
                           "CET-1CEST,M3.5.0", "CET-1CEST,M3.5.0,M10.5.0/3x"}) {
    EXPECT_FALSE(DaylightRule::parse(none)) << none;
  }
}

rc::Gen<std::pair<std::string, std::vector<bool>>> field(int min, int max) {
  return rc::gen::exec([min, max] {
    std::vector<bool> set(static_cast<std::size_t>(max) + 1, false);
    const auto mark = [&set](int from, int to, int step) {
      for (int i = from; i <= to; i += step) set[static_cast<std::size_t>(i)] = true;
    };
    std::string text;
    switch (*rc::gen::inRange(0, 4)) {
      case 0: mark(min, max, 1); return std::pair(std::string("*"), set);
      case 1: {
        const int step = *rc::gen::inRange(1, max + 1);
        mark(min, max, step);
        return std::pair("*/" + std::to_string(step), set);
      }
      case 2: {
        const int from = *rc::gen::inRange(min, max + 1);
        const int to = *rc::gen::inRange(from, max + 1);
        mark(from, to, 1);
        return std::pair(std::to_string(from) + "-" + std::to_string(to), set);
      }
      default:
        for (const int value : *rc::gen::nonEmpty(
                 rc::gen::container<std::vector<int>>(rc::gen::inRange(min, max + 1)))) {
          mark(value, value, 1);
          text += (text.empty() ? "" : ",") + std::to_string(value);
          if (text.size() > 30) break;
        }
        return std::pair(text, set);
    }
  });
}

RC_GTEST_PROP(Cron, NextIsLaterAndTheFirstMinuteThatFitsTheFields, ()) {
  const auto [minute, minutes_set] = *field(0, 59);
  const auto [hour, hours_set] = *field(0, 23);
  const auto [month_text, months_set] = *field(1, 12);
  const auto [weekday_text, weekdays_set] = *field(0, 6);
  const auto cron = Cron::parse(minute + " " + hour + " * " + month_text + " " + weekday_text);
  const auto after = sys_seconds(seconds(*rc::gen::inRange<std::int64_t>(0, 7'000'000'000)));
  const auto next = cron.next(after, {});
  RC_ASSERT(next.has_value());
  RC_ASSERT(*next > after);

  const auto fits = [&](sys_seconds time) {
    const auto midnight = floor<days>(time);
    const hh_mm_ss clock(time - midnight);
    return minutes_set[static_cast<std::size_t>(clock.minutes().count())] &&
           hours_set[static_cast<std::size_t>(clock.hours().count())] &&
           months_set[unsigned{year_month_day(midnight).month()}] &&
           weekdays_set[weekday(midnight).c_encoding()] && clock.seconds().count() == 0;
  };
  RC_ASSERT(fits(*next));
  // Nothing before it fits; a stretch of at most a day of it is looked at.
  const auto first =
      std::max(floor<minutes>(after) + minutes(1), floor<minutes>(*next) - minutes(1'440));
  for (auto time = first; time < *next; time += minutes(1)) RC_ASSERT(!fits(time));
}

RC_GTEST_PROP(Cron, TicksDoNotDependOnWhereOneStartsToAsk, ()) {
  const auto cron = Cron::parse(
      *rc::gen::element<std::string>("30 2 * * *", "*/15 2 * * *", "0 */2 * * *", "*/7 * * * *",
                                     "0 0 L * *", "15 0,1,2,3 * * SUN", "59 23 LW * ?"));
  const auto zone = TimeZone::find(*rc::gen::element<std::string>(
      "Europe/Madrid", "Australia/Lord_Howe", "America/Sao_Paulo", "America/Bogota", "Asia/Tehran",
      "Pacific/Apia", "Africa/Casablanca", "UTC"));
  const auto start = *rc::gen::inRange<std::int64_t>(0, 4'000'000'000);
  const auto after = sys_seconds(seconds(start));
  const auto tick = cron.next(after, zone);
  RC_ASSERT(tick.has_value());
  RC_ASSERT(*tick > after);
  // Every moment up to it has the same next tick.
  const auto distance = (*tick - after).count();
  const auto between = after + seconds(*rc::gen::inRange<std::int64_t>(0, distance));
  RC_ASSERT((cron.next(between, zone) == tick));
  RC_ASSERT((cron.next(*tick - microseconds(1), zone) == tick));
  RC_ASSERT((cron.next(*tick, zone) > tick));
}

}  // namespace
}  // namespace relevo::worker
