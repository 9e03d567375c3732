#include "relevo/worker/cron.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <span>
#include <stdexcept>

namespace relevo::worker {
namespace {

using namespace std::chrono;

constexpr std::size_t kLongestText = 255;
constexpr local_days kFirstDay{year{1900} / January / 1};
constexpr local_days kEnd{year{2200} / January / 1};
// More than any offset there ever was.
constexpr auto kWidestOffset = hours(26);

constexpr std::array<std::string_view, 12> kMonthNames{"JAN", "FEB", "MAR", "APR", "MAY", "JUN",
                                                       "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"};
constexpr std::array<std::string_view, 7> kWeekdayNames{"SUN", "MON", "TUE", "WED",
                                                        "THU", "FRI", "SAT"};
constexpr std::array<std::string_view, 12> kFullMonthNames{
    "January", "February", "March",     "April",   "May",      "June",
    "July",    "August",   "September", "October", "November", "December"};

struct Macro {
  std::string_view name;
  std::string_view expression;
};
constexpr std::array kMacros{
    Macro{"@YEARLY", "0 0 1 1 *"}, Macro{"@ANNUALLY", "0 0 1 1 *"}, Macro{"@MONTHLY", "0 0 1 * *"},
    Macro{"@WEEKLY", "0 0 * * 0"}, Macro{"@DAILY", "0 0 * * *"},    Macro{"@MIDNIGHT", "0 0 * * *"},
    Macro{"@HOURLY", "0 * * * *"},
};

struct Field {
  std::string_view name;
  int min;
  int max;
  std::span<const std::string_view> names = {};
  int first_name = 0;  // number of the first name
};
constexpr Field kSecond{"second", 0, 59};
constexpr Field kMinute{"minute", 0, 59};
constexpr Field kHour{"hour", 0, 23};
constexpr Field kDayOfMonth{"day of month", 1, 31};
constexpr Field kMonth{"month", 1, 12, kMonthNames, 1};
constexpr Field kDayOfWeek{"day of week", 0, 7, kWeekdayNames, 0};

constexpr std::uint64_t bit(int number) { return std::uint64_t{1} << number; }
constexpr std::uint64_t bit(unsigned number) { return std::uint64_t{1} << number; }

std::optional<int> next_bit(std::uint64_t bits, int from) {
  const auto left = from > 63 ? 0 : bits >> from << from;
  return left == 0 ? std::nullopt : std::optional(std::countr_zero(left));
}

bool is_weekend(local_days day) {
  const weekday on(day);
  return on == Saturday || on == Sunday;
}

int last_day_of(year_month_day date) {
  return static_cast<int>(unsigned{(date.year() / date.month() / last).day()});
}

std::vector<std::string_view> split(std::string_view text, std::string_view separators) {
  std::vector<std::string_view> parts;
  for (;;) {
    const auto end = text.find_first_of(separators);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

// "30, 31" of the numbers set, "February, April" of the months set.
template <typename Name>
std::string listed(std::uint64_t bits, std::string_view between, Name name) {
  std::string text;
  for (auto number = next_bit(bits, 0); number; number = next_bit(bits, *number + 1)) {
    text += (text.empty() ? "" : std::string(between)) + std::string(name(*number));
  }
  return text;
}

}  // namespace

class CronParser {
 public:
  explicit CronParser(std::string_view text) : text_(text) {}

  Cron parse() {
    if (text_.size() > kLongestText) {
      throw std::invalid_argument("cron: is longer than " + std::to_string(kLongestText) +
                                  " characters; split it into several schedules");
    }
    std::string upper(text_);
    std::ranges::transform(upper, upper.begin(), [](char c) {
      return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    });
    auto fields = split(upper, " \t\r\n");
    std::erase(fields, std::string_view());
    if (fields.size() == 1 && fields.front().starts_with('@')) {
      fields = split(expression_of(fields.front()), " ");
    }
    if (fields.size() != 5 && fields.size() != 6) {
      fail("has " + std::to_string(fields.size()) + (fields.size() == 1 ? " field" : " fields") +
           "; give minute, hour, day of month, month and day of week, with seconds before them or "
           "without");
    }
    Cron cron;
    cron.text_ = std::string(text_);
    auto next = fields.begin();
    if (fields.size() == 6) cron.seconds_ = numbers(kSecond, *next++);
    cron.minutes_ = numbers(kMinute, *next++);
    cron.follows_clock_ = next->find_first_of("*/") != std::string_view::npos;
    cron.hours_ = numbers(kHour, *next++);
    if (cron.hours_ == bit(24) - 1) cron.follows_clock_ = true;
    read_days(cron, *next++);
    cron.months_ = numbers(kMonth, *next++);
    read_weekdays(cron, *next);
    if (!cron.next_match(local_days{year{1970} / January / 1})) fail(why_never(cron));
    return cron;
  }

 private:
  [[noreturn]] void fail(const std::string& why) const {
    throw std::invalid_argument("cron \"" + std::string(text_) + "\": " + why);
  }
  [[noreturn]] void fail(const Field& field, std::string_view part, const std::string& why) const {
    fail(std::string(field.name) + " \"" + std::string(part) + "\": " + why);
  }

  std::string_view expression_of(std::string_view name) const {
    const auto found = std::ranges::find(kMacros, name, &Macro::name);
    if (found == kMacros.end()) {
      fail(
          "there is no such short form; give @yearly, @annually, @monthly, @weekly, @daily, "
          "@midnight, @hourly, or fields");
    }
    return found->expression;
  }

  static std::string range_of(const Field& field) {
    auto text = std::to_string(field.min) + " to " + std::to_string(field.max);
    if (!field.names.empty()) {
      text += ", or " + std::string(field.names.front()) + " to " + std::string(field.names.back());
    }
    return text;
  }

  int number(const Field& field, std::string_view part, std::string_view text) const {
    const auto name = std::ranges::find(field.names, text);
    if (name != field.names.end()) {
      return static_cast<int>(name - field.names.begin()) + field.first_name;
    }
    int value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || error != std::errc() || end != text.data() + text.size()) {
      fail(field, part,
           "is not understood; give " + range_of(field) + ", ranges, lists, steps or *");
    }
    if (value < field.min || value > field.max) {
      fail(field, part, "is out of range; give " + range_of(field));
    }
    return value;
  }

  // *, 5, 5-10, and each with /step.
  std::uint64_t item(const Field& field, std::string_view part) const {
    const auto slash = part.find('/');
    const auto range = part.substr(0, slash);
    // Sunday has two numbers; steps count it as 0.
    const int open_end = field.max == kDayOfWeek.max ? 6 : field.max;
    int from = field.min;
    int to = open_end;
    if (range != "*") {
      const auto dash = range.find('-');
      from = number(field, part, range.substr(0, dash));
      if (dash != std::string_view::npos) {
        to = number(field, part, range.substr(dash + 1));
        if (field.name == kDayOfWeek.name && to == 0 && from > 0) to = 7;
      } else {
        to = slash == std::string_view::npos ? from : std::max(from, open_end);
      }
      if (from > to) {
        fail(field, part,
             "runs backwards; give two parts with a comma between, up to the end and from the "
             "start");
      }
    }
    int step = 1;
    if (slash != std::string_view::npos) {
      const auto text = part.substr(slash + 1);
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), step);
      if (text.empty() || error != std::errc() || end != text.data() + text.size() || step < 1 ||
          step > field.max) {
        fail(field, part,
             "the step is to be 1 to " + std::to_string(field.max) +
                 "; for a longer or uneven interval give `every` instead of cron");
      }
    }
    std::uint64_t bits = 0;
    for (int value = from; value <= to; value += step) bits |= bit(value);
    return bits;
  }

  std::uint64_t numbers(const Field& field, std::string_view text) const {
    if (text == "?") fail(field, text, "is for the two day fields only; give *");
    std::uint64_t bits = 0;
    for (const auto part : split(text, ",")) bits |= item(field, part);
    return bits;
  }

  // As in Vixie cron a field that begins with a star leaves the other day field to decide.
  static bool restricts(std::string_view text) { return text != "?" && !text.starts_with('*'); }

  void read_days(Cron& cron, std::string_view text) const {
    cron.days_restricted_ = restricts(text);
    if (text == "?") text = "*";
    for (const auto part : split(text, ",")) {
      if (part == "L") {
        cron.from_end_.push_back({0, false});
      } else if (part == "LW") {
        cron.from_end_.push_back({0, true});
      } else if (part.starts_with("L-")) {
        const Field before{kDayOfMonth.name, 1, 30};
        cron.from_end_.push_back({number(before, part, part.substr(2)), false});
      } else if (part.ends_with('W')) {
        const auto day = number(kDayOfMonth, part, part.substr(0, part.size() - 1));
        cron.nearest_weekday_.push_back(static_cast<unsigned>(day));
      } else {
        cron.days_ |= item(kDayOfMonth, part);
      }
    }
  }

  void read_weekdays(Cron& cron, std::string_view text) const {
    cron.weekdays_restricted_ = restricts(text);
    if (text == "?") text = "*";
    const auto weekday_of = [this](std::string_view part, std::string_view day) {
      return static_cast<unsigned>(number(kDayOfWeek, part, day)) % 7;
    };
    for (const auto part : split(text, ",")) {
      if (part == "L") {
        fail(kDayOfWeek, part,
             "does not say which day; give for instance SATL for the last Saturday");
      } else if (const auto hash = part.find('#'); hash != std::string_view::npos) {
        const Field which{kDayOfWeek.name, 1, 5};
        cron.nth_weekdays_.push_back(
            {weekday_of(part, part.substr(0, hash)),
             static_cast<unsigned>(number(which, part, part.substr(hash + 1)))});
      } else if (part.size() > 1 && part.ends_with('L')) {
        cron.nth_weekdays_.push_back({weekday_of(part, part.substr(0, part.size() - 1)), 0});
      } else {
        const auto bits = item(kDayOfWeek, part);
        cron.weekdays_ |= bits % bit(7) | (bits & bit(7)) >> 7;
      }
    }
  }

  // Only a day that its months do not have keeps a schedule from ever firing.
  static std::string why_never(const Cron& cron) {
    const auto months = listed(cron.months_, ", ", [](int number) {
      return kFullMonthNames[static_cast<std::size_t>(number) - 1];
    });
    const auto days = listed(cron.days_, " or ", [](int number) { return std::to_string(number); });
    const auto which = days.empty() ? " such day" : " day " + days;
    return "never fires: " +
           (std::has_single_bit(cron.months_) ? months + " has no" + which
                                              : "none of " + months + " has a" + which) +
           "; correct the day or the month";
  }

  std::string_view text_;
};

Cron Cron::parse(std::string_view text) { return CronParser(text).parse(); }

bool Cron::day_of_month_matches(year_month_day date) const {
  const auto day = static_cast<int>(unsigned{date.day()});
  if ((days_ & bit(day)) != 0) return true;
  const int last = last_day_of(date);
  const local_days today{date};
  for (const auto& [before, weekday] : from_end_) {
    int wanted = last - before;
    if (weekday) {
      while (is_weekend(today + std::chrono::days(wanted - day))) --wanted;
    }
    if (day == wanted) return true;
  }
  return std::ranges::any_of(nearest_weekday_, [&](unsigned of_month) {
    int wanted = static_cast<int>(of_month);
    if (wanted > last) return false;
    const std::chrono::weekday on(today + std::chrono::days(wanted - day));
    if (on == Saturday) wanted += wanted == 1 ? 2 : -1;
    if (on == Sunday) wanted += wanted == last ? -2 : 1;
    return day == wanted;
  });
}

bool Cron::day_of_week_matches(year_month_day date) const {
  const auto on = weekday(local_days{date}).c_encoding();
  if ((weekdays_ & bit(on)) != 0) return true;
  const auto day = unsigned{date.day()};
  return std::ranges::any_of(nth_weekdays_, [&](const NthWeekday& wanted) {
    if (wanted.weekday != on) return false;
    if (wanted.nth == 0) return static_cast<int>(day) + 7 > last_day_of(date);
    return (day - 1) / 7 + 1 == wanted.nth;
  });
}

bool Cron::day_matches(year_month_day date) const {
  const bool of_month = day_of_month_matches(date);
  const bool of_week = day_of_week_matches(date);
  return days_restricted_ && weekdays_restricted_ ? of_month || of_week : of_month && of_week;
}

std::optional<seconds> Cron::next_time_of_day(seconds from) const {
  const hh_mm_ss clock(from);
  const auto h = static_cast<int>(clock.hours().count());
  const auto m = static_cast<int>(clock.minutes().count());
  const auto s = static_cast<int>(clock.seconds().count());
  const auto at = [](int hour, int minute, int second) {
    return std::optional<seconds>(hours(hour) + minutes(minute) + seconds(second));
  };
  const int first_minute = *next_bit(minutes_, 0);
  const int first_second = *next_bit(seconds_, 0);
  if (next_bit(hours_, h) == h) {
    if (next_bit(minutes_, m) == m) {
      if (const auto second = next_bit(seconds_, s)) return at(h, m, *second);
    }
    if (const auto minute = next_bit(minutes_, m + 1)) return at(h, *minute, first_second);
  }
  const auto hour = next_bit(hours_, h + 1);
  return hour ? at(*hour, first_minute, first_second) : std::nullopt;
}

std::optional<local_seconds> Cron::next_match(local_seconds from) const {
  for (auto day = floor<days>(from); day < kEnd;) {
    const year_month_day date(day);
    if ((months_ & bit(unsigned{date.month()})) == 0) {
      day = local_days{(date.year() / date.month() + months(1)) / 1};
      continue;
    }
    if (day_matches(date)) {
      if (const auto time = next_time_of_day(std::max(from - day, seconds(0)))) return day + *time;
    }
    day += days(1);
  }
  return std::nullopt;
}

std::optional<sys_seconds> Cron::next(core::WallTime after, const TimeZone& zone) const {
  const auto earliest = sys_seconds(kFirstDay.time_since_epoch());
  const auto latest = sys_seconds(kEnd.time_since_epoch()) + kWidestOffset;
  if (after >= latest) return std::nullopt;
  const auto start = after < earliest ? earliest - seconds(1) : floor<seconds>(after);

  if (follows_clock_) {
    auto from = start + seconds(1);
    for (auto period = zone.period(from); from < latest; period = zone.period(from)) {
      const auto match = next_match(local_seconds(from.time_since_epoch() + period.offset));
      if (!match) return std::nullopt;
      const auto at = sys_seconds(match->time_since_epoch() - period.offset);
      if (at < period.end) return at;
      from = period.end;
    }
    return std::nullopt;
  }

  // A wall time's tick is the first instant at which the clock shows it or a later one: that is the
  // first of two, and the end of a gap. Everything up to the latest time shown so far is done with.
  auto shown = local_seconds::min();
  for (auto period = zone.period(start - kWidestOffset);; period = zone.period(period.end)) {
    const auto until = std::min(start, period.end - seconds(1));
    shown = std::max(shown, local_seconds(until.time_since_epoch() + period.offset));
    if (period.end > start) break;
  }
  const auto match = next_match(shown + seconds(1));
  if (!match) return std::nullopt;
  const auto guess = sys_seconds(match->time_since_epoch()) - kWidestOffset;
  for (auto period = zone.period(guess);; period = zone.period(period.end)) {
    const auto at = std::max(period.begin, sys_seconds(match->time_since_epoch() - period.offset));
    if (at < period.end) return at;
  }
}

}  // namespace relevo::worker
