#include <CLI/App.hpp>
#include <array>
#include <charconv>
#include <cstdio>

#include "cli/schedules_commands.hpp"
#include "cli/table.hpp"

namespace relevo::cli {
namespace {

using namespace std::chrono;

constexpr auto kFooter = R"(
A schedule makes a job at certain times: by cron expression, at an interval, or once. The configuration
(`schedules`) may have some; others are kept in the database only. Details: docs/schedules.md.

Typical:
  relevo schedules
  relevo schedules add nightly report.build '{"days": 1}' --cron '0 3 * * *' --zone Europe/Madrid
  relevo schedules next '0 3 * * MON-FRI' --zone Europe/Madrid     try an expression out
  relevo schedules run nightly                                     one job now)";

struct Unit {
  std::string_view name;
  milliseconds length;
};
constexpr std::array kUnits{Unit{"d", days(1)}, Unit{"h", hours(1)}, Unit{"m", minutes(1)},
                            Unit{"s", seconds(1)}, Unit{"ms", milliseconds(1)}};

}  // namespace

milliseconds parse_interval(std::string_view option, const std::string& text) {
  std::int64_t amount = 0;
  const auto* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, amount);
  for (const auto& [name, length] : kUnits) {
    if (error != std::errc() || name != std::string_view(rest, end)) continue;
    if (amount > 0 && amount <= milliseconds::max() / length) return amount * length;
  }
  throw UsageError(std::string(option) + ": \"" + text +
                   "\" is no interval; give a number and ms, s, m, h or d: 15m");
}

std::string interval_text(milliseconds interval) {
  for (const auto& [name, length] : kUnits) {
    if (interval % length == milliseconds(0)) {
      return std::to_string(interval / length) + std::string(name);
    }
  }
  return {};
}

std::string local_time(core::WallTime time, const worker::TimeZone& zone) {
  const auto whole = floor<seconds>(time);
  const auto offset = duration_cast<minutes>(zone.period(whole).offset);
  const auto local = zone.to_local(whole);
  const auto day = floor<days>(local);
  const year_month_day date(day);
  const hh_mm_ss clock(local - day);
  const hh_mm_ss shift(offset);
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%04d-%02u-%02u %02d:%02d:%02d %c%02d:%02d",
                static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                static_cast<unsigned>(date.day()), static_cast<int>(clock.hours().count()),
                static_cast<int>(clock.minutes().count()),
                static_cast<int>(clock.seconds().count()), shift.is_negative() ? '-' : '+',
                static_cast<int>(shift.hours().count()), static_cast<int>(shift.minutes().count()));
  return text.data();
}

std::string timing_text(const worker::TimingText& timing) {
  if (timing.cron) return "cron " + *timing.cron;
  if (timing.every) return "every " + interval_text(*timing.every);
  return "at " + (timing.at ? iso_time(*timing.at) : std::string());
}

void add_schedules(CLI::App& parent, Action& chosen) {
  auto* command = parent.add_subcommand(
      "schedules", "Jobs at certain times: list, add, remove, pause, resume, run, next");
  command->footer(kFooter);
  add_schedules_list(*command, chosen);
  add_schedules_add(*command, chosen);
  add_schedules_remove(*command, chosen);
  add_schedules_pause(*command, chosen);
  add_schedules_resume(*command, chosen);
  add_schedules_run(*command, chosen);
  add_schedules_next(*command, chosen);
}

}  // namespace relevo::cli
