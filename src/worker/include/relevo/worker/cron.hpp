// A cron expression: at which wall times of a zone a schedule fires. An immutable value.
//
// Five fields, or six with seconds first: [second] minute hour day-of-month month day-of-week. The
// syntax, and what happens when clocks are put forward or back: docs/schedules.md. Days of the week
// are numbered as in crontab (0 and 7: Sunday), not as in Quartz (1: Sunday).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "relevo/core/clock.hpp"
#include "relevo/worker/time_zone.hpp"

namespace relevo::worker {

class Cron {
 public:
  // Throws std::invalid_argument with one line: what is wrong, in which field, what to do. An
  // expression that never fires is wrong as well.
  static Cron parse(std::string_view text);

  // The first tick later than `after`; nullopt: none before the year 2200.
  [[nodiscard]] std::optional<std::chrono::sys_seconds> next(core::WallTime after,
                                                             const TimeZone& zone) const;

  // Whether it follows the clock's hands wherever they are put (the hour has a wildcard or a step)
  // instead of firing once for each wall time.
  bool follows_clock() const { return follows_clock_; }
  const std::string& text() const { return text_; }

 private:
  friend class CronParser;

  struct FromEnd {
    int days_before = 0;
    bool weekday = false;  // LW: the last day that is no Saturday or Sunday
  };
  struct NthWeekday {
    unsigned weekday = 0;
    unsigned nth = 0;  // 0: the last
  };

  Cron() = default;

  bool day_matches(std::chrono::year_month_day date) const;
  bool day_of_month_matches(std::chrono::year_month_day date) const;
  bool day_of_week_matches(std::chrono::year_month_day date) const;
  std::optional<std::chrono::seconds> next_time_of_day(std::chrono::seconds from) const;
  // The first wall time that matches, not earlier than `from`.
  std::optional<std::chrono::local_seconds> next_match(std::chrono::local_seconds from) const;

  std::string text_;
  std::uint64_t seconds_ = 1;  // a bit for each number
  std::uint64_t minutes_ = 0;
  std::uint64_t hours_ = 0;
  std::uint64_t days_ = 0;
  std::uint64_t months_ = 0;
  std::uint64_t weekdays_ = 0;
  std::vector<FromEnd> from_end_;
  std::vector<unsigned> nearest_weekday_;  // 15W
  std::vector<NthWeekday> nth_weekdays_;
  bool days_restricted_ = false;
  bool weekdays_restricted_ = false;
  bool follows_clock_ = false;
};

}  // namespace relevo::worker
