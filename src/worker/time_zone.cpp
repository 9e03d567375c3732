#include "relevo/worker/time_zone.hpp"

#include <date/tz.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <stdexcept>
#include <vector>

#include "relevo/core/nearest.hpp"

namespace relevo::worker {
namespace {

using namespace std::chrono;

constexpr auto kZoneFiles = "/usr/share/zoneinfo/";
// What the library calls the end of a zone's last period lies far beyond any year in use.
constexpr auto kFarAway = sys_days{year{10'000} / January / 1};

// Reads the parts of a rule; a part that is not there ends it.
class RuleText {
 public:
  explicit RuleText(std::string_view text) : rest_(text) {}

  bool done() const { return rest_.empty(); }
  bool skip(char expected) {
    if (!rest_.starts_with(expected)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  // CET, or <+0330>
  bool skip_name() {
    const auto end =
        rest_.starts_with('<') ? rest_.find('>') + 1 : rest_.find_first_of("+-0123456789,", 0);
    if (end == 0) return false;
    rest_.remove_prefix(std::min(end, rest_.size()));
    return true;
  }
  std::optional<int> number() {
    int value = 0;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (error != std::errc()) return std::nullopt;
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    return value;
  }
  // [+-]hh[:mm[:ss]]
  std::optional<seconds> time() {
    const bool negative = skip('-');
    if (!negative) skip('+');
    seconds sum{0};
    for (const seconds unit : {seconds(3'600), seconds(60), seconds(1)}) {
      const auto value = number();
      if (!value) return std::nullopt;
      sum += *value * unit;
      if (!skip(':')) break;
    }
    return negative ? -sum : sum;
  }
  std::optional<DaylightRule::Change> change() {
    DaylightRule::Change change;
    if (!skip(',')) return std::nullopt;
    if (skip('M')) {
      const auto month = number();
      const auto week = skip('.') ? number() : std::nullopt;
      const auto weekday = skip('.') ? number() : std::nullopt;
      if (!month || !week || !weekday) return std::nullopt;
      change.month = static_cast<unsigned>(*month);
      change.week = static_cast<unsigned>(*week);
      change.weekday = static_cast<unsigned>(*weekday);
    } else {
      using Form = DaylightRule::Change::Form;
      change.form = skip('J') ? Form::kJulian : Form::kZeroBased;
      const auto day = number();
      if (!day) return std::nullopt;
      change.day = *day;
    }
    if (skip('/')) {
      const auto at = time();
      if (!at) return std::nullopt;
      change.time = *at;
    }
    return change;
  }

 private:
  std::string_view rest_;
};

sys_days day_of(const DaylightRule::Change& change, year in) {
  using Form = DaylightRule::Change::Form;
  const sys_days first{in / January / 1};
  switch (change.form) {
    case Form::kZeroBased: return first + days(change.day);
    // Counts 1 to 365; the leap day has no number.
    case Form::kJulian:
      return first + days(change.day - (in.is_leap() && change.day >= 60 ? 0 : 1));
    case Form::kMonthWeekDay: break;
  }
  const weekday on(change.weekday);
  const auto of = in / month(change.month);
  return change.week == 5 ? sys_days{of / on[last]} : sys_days{of / on[change.week]};
}

// The last line of the zone's file.
std::optional<DaylightRule> rule_in_file(const std::string& name) {
  std::ifstream file(kZoneFiles + name, std::ios::binary);
  const std::string content{std::istreambuf_iterator<char>(file), {}};
  if (!content.ends_with('\n')) return std::nullopt;
  const auto start = content.find_last_of('\n', content.size() - 2);
  if (start == std::string::npos) return std::nullopt;
  return DaylightRule::parse(
      std::string_view(content).substr(start + 1, content.size() - start - 2));
}

std::string without_case(std::string_view text) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(), [](char c) {
    return c == ' ' ? '_' : c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return lower;
}

std::string why_unknown(std::string_view name) {
  std::vector<std::string> known;
  try {
    for (const auto& zone : date::get_tzdb().zones) known.push_back(zone.name());
  } catch (const std::runtime_error&) {
    return std::string("there is no zone data in ") + kZoneFiles +
           "; install the system's package tzdata";
  }
  const auto asked = without_case(name);
  // "europe/madrid" and "Madrid" as well.
  const auto same = std::ranges::find_if(known, [&asked](const std::string& candidate) {
    const auto lower = without_case(candidate);
    return lower == asked || lower.ends_with("/" + asked);
  });
  const auto meant = same != known.end() ? *same : core::nearest(name, known).value_or("");
  return "there is none of this name; " + (meant.empty() ? "give an IANA name such as Europe/Madrid"
                                                         : "did you mean \"" + meant + "\"?");
}

}  // namespace

std::optional<DaylightRule> DaylightRule::parse(std::string_view text) {
  RuleText rest(text);
  DaylightRule rule;
  if (!rest.skip_name()) return std::nullopt;
  const auto west = rest.time();  // POSIX counts to the west
  if (!west || rest.done() || !rest.skip_name()) return std::nullopt;
  rule.standard = -*west;
  rule.daylight = rule.standard + hours(1);
  if (const auto daylight_west = rest.time()) rule.daylight = -*daylight_west;
  const auto begin = rest.change();
  const auto end = begin ? rest.change() : std::nullopt;
  const auto valid = [](const Change& change) {
    return change.form != Change::Form::kMonthWeekDay ||
           (change.month >= 1 && change.month <= 12 && change.week >= 1 && change.week <= 5 &&
            change.weekday <= 6);
  };
  if (!end || !rest.done() || !valid(*begin) || !valid(*end)) return std::nullopt;
  rule.begin = *begin;
  rule.end = *end;
  return rule;
}

ZonePeriod DaylightRule::period(sys_seconds time) const {
  struct Turn {
    sys_seconds at;
    seconds offset;
  };
  std::vector<Turn> turns;
  const auto around = year_month_day(floor<days>(time)).year();
  for (auto in = around - years(1); in <= around + years(1); in += years(1)) {
    turns.push_back({day_of(begin, in) + begin.time - standard, daylight});
    turns.push_back({day_of(end, in) + end.time - daylight, standard});
  }
  std::ranges::sort(turns, {}, &Turn::at);
  const auto next = std::ranges::upper_bound(turns, time, {}, &Turn::at);
  return {std::prev(next)->at, next->at, std::prev(next)->offset};
}

TimeZone TimeZone::find(std::string_view name) {
  TimeZone zone;
  if (name == zone.name_) return zone;  // also where no zone data is installed
  try {
    zone.zone_ = date::locate_zone(name);
  } catch (const std::runtime_error&) {
    throw std::invalid_argument("time zone \"" + std::string(name) + "\": " + why_unknown(name));
  }
  zone.name_ = std::string(name);
  zone.afterwards_ = rule_in_file(zone.name_);
  return zone;
}

ZonePeriod TimeZone::period(sys_seconds time) const {
  if (zone_ == nullptr) return {sys_seconds::min(), sys_seconds::max(), seconds(0)};
  const auto info = zone_->get_info(time);
  if (afterwards_ && info.end > kFarAway) {
    auto period = afterwards_->period(time);
    period.begin = std::max(period.begin, info.begin);
    return period;
  }
  return {info.begin, info.end, info.offset};
}

local_seconds TimeZone::to_local(sys_seconds time) const {
  return local_seconds(time.time_since_epoch() + period(time).offset);
}

}  // namespace relevo::worker
