#include "relevo/webhook/retry_after.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace relevo::webhook {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::array<std::string_view, 12> kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
// Where the digits of a date stand; the rest is as written here.
constexpr std::string_view kDateForm = "..., 00 ... 0000 00:00:00 GMT";

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool has_date_form(std::string_view text) {
  return std::equal(
      text.begin(), text.end(), kDateForm.begin(), kDateForm.end(),
      [](char c, char form) { return form == '.' || (form == '0' ? is_digit(c) : c == form); });
}

unsigned number(std::string_view digits) {
  unsigned value = 0;
  for (const char c : digits) value = value * 10 + static_cast<unsigned>(c - '0');
  return value;
}

// Sun, 06 Nov 1994 08:49:37 GMT. The two older forms are not sent by anything alive, and strptime
// follows the locale.
std::optional<std::chrono::sys_seconds> http_date(std::string_view text) {
  if (!has_date_form(text)) return std::nullopt;
  const auto month = std::find(kMonths.begin(), kMonths.end(), text.substr(8, 3));
  if (month == kMonths.end()) return std::nullopt;
  const std::chrono::year_month_day day{
      std::chrono::year(static_cast<int>(number(text.substr(12, 4)))),
      std::chrono::month(static_cast<unsigned>(month - kMonths.begin() + 1)),
      std::chrono::day(number(text.substr(5, 2)))};
  const auto hour = number(text.substr(17, 2));
  const auto minute = number(text.substr(20, 2));
  const auto second = number(text.substr(23, 2));
  if (!day.ok() || hour > 23 || minute > 59 || second > 60) return std::nullopt;
  return std::chrono::sys_days(day) + std::chrono::hours(hour) + std::chrono::minutes(minute) +
         seconds(second);
}

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

}  // namespace

std::optional<milliseconds> retry_after(std::string_view value, core::WallTime now) {
  value = trimmed(value);
  if (!value.empty() && std::all_of(value.begin(), value.end(), is_digit)) {
    seconds::rep count = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), count);
    if (error == std::errc::result_out_of_range) return kLongestRetryAfter;
    return std::min<seconds>(seconds(count), kLongestRetryAfter);
  }
  const auto date = http_date(value);
  if (!date) return std::nullopt;
  return std::clamp<milliseconds>(std::chrono::ceil<milliseconds>(*date - now), milliseconds(0),
                                  kLongestRetryAfter);
}

}  // namespace relevo::webhook
