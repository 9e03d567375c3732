#include "relevo/core/civil_time.hpp"

namespace relevo::core {

using namespace std::chrono;

CivilTime civil_time(WallTime time) {
  // The calendar repeats itself after so many days: those of 400 years.
  static constexpr std::int64_t kEra = 146'097;
  const auto day = floor<days>(time);
  const std::int64_t count = day.time_since_epoch().count();
  const auto era = (count >= 0 ? count : count - kEra + 1) / kEra;
  const year_month_day date{sys_days{days{count - era * kEra}}};
  const hh_mm_ss clock{time - day};
  return {static_cast<int>(int{date.year()} + era * 400),
          unsigned{date.month()},
          unsigned{date.day()},
          static_cast<int>(clock.hours().count()),
          static_cast<int>(clock.minutes().count()),
          static_cast<int>(clock.seconds().count()),
          static_cast<int>(clock.subseconds().count())};
}

}  // namespace relevo::core
