// A time zone by its IANA name, from the system's own data (/usr/share/zoneinfo); nothing is ever
// fetched. An immutable value, cheap to copy; every function is thread-safe.
//
// The tables end in 2037, or with the last change of law where they are written without
// repetitions. Beyond their end the rule that each file gives for the time after it is applied.
#pragma once

#include <array>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace date {
class time_zone;
}

namespace relevo::worker {

// A stretch of time with one offset from UTC: [begin, end).
struct ZonePeriod {
  std::chrono::sys_seconds begin;
  std::chrono::sys_seconds end;
  std::chrono::seconds offset;
};

// "CET-1CEST,M3.5.0,M10.5.0/3": POSIX, XBD 8.3, variable TZ, with the hours of RFC 8536.
struct DaylightRule {
  struct Change {
    enum class Form { kMonthWeekDay, kJulian, kZeroBased } form = Form::kMonthWeekDay;
    unsigned month = 0, week = 0, weekday = 0;  // week 5: the last
    int day = 0;                                // of the year, for the other forms
    std::chrono::seconds time{7'200};           // after midnight by the clocks before the change
  };

  std::chrono::seconds standard{};
  std::chrono::seconds daylight{};
  Change begin, end;  // of daylight time

  // nullopt: the text has no change of offset in it, or is not of this form.
  static std::optional<DaylightRule> parse(std::string_view text);
  ZonePeriod period(std::chrono::sys_seconds time) const;
};

class TimeZone {
 public:
  // Throws std::invalid_argument: the name, and which one was probably meant.
  static TimeZone find(std::string_view name);

  TimeZone() = default;  // UTC

  const std::string& name() const { return name_; }
  ZonePeriod period(std::chrono::sys_seconds time) const;
  std::chrono::local_seconds to_local(std::chrono::sys_seconds time) const;

 private:
  std::string name_ = "UTC";
  const date::time_zone* zone_ = nullptr;  // of the library's database, for good; null: UTC
  std::optional<DaylightRule> afterwards_;
};

}  // namespace relevo::worker
