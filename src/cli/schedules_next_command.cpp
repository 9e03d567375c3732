#include <CLI/App.hpp>
#include <memory>
#include <stdexcept>

#include "cli/json_text.hpp"
#include "cli/schedules_commands.hpp"
#include "cli/table.hpp"
#include "cli/whole_number.hpp"
#include "daemon.hpp"

namespace relevo::cli {
namespace {

constexpr auto kFooter = R"(
Needs no database. Days of the week as in crontab: 0 and 7 are Sunday, 1 is Monday.

Examples:
  relevo schedules next '*/15 8-18 * * MON-FRI' --zone Europe/Madrid
  relevo schedules next '30 2 * * *' --zone Europe/Madrid --from 2026-03-28T00:00:00Z
  relevo schedules next '0 0 LW * ?' -n 12)";

struct Options {
  worker::TimingText timing;
  std::optional<std::string> from;
  int count = 5;
  bool json = false;
};

int next(Options options, const Invocation& invocation) {
  auto after = core::system_clock().wall();
  std::optional<worker::Timing> timing;
  try {
    if (options.from) after = worker::parse_instant(*options.from);
    timing = worker::parse_timing(options.timing);
  } catch (const std::invalid_argument& error) {
    throw UsageError(error.what());
  }
  Json ticks = Json::array();
  Table table({"in " + timing->zone().name(), "UTC"});
  auto tick = timing->next(after);
  for (int i = 0; tick && i < options.count; ++i, tick = timing->next(*tick)) {
    ticks.push_back(iso_time(*tick));
    table.add({local_time(*tick, timing->zone()), iso_time(*tick)});
  }
  invocation.out.print(options.json ? json_line(ticks) : table.text());
  if (!tick) complain("no more before the year 2200");
  return exit_code::kOk;
}

}  // namespace

void add_schedules_next(CLI::App& parent, Action& chosen) {
  auto* command = parent.add_subcommand("next", "When a cron expression fires next");
  command->footer(kFooter);
  // Owners: the parser, which fills it, and the action.
  const auto options = std::make_shared<Options>();
  command->add_option("CRON", options->timing.cron, "Cron expression, five fields or six; quoted")
      ->required();
  command->add_option("--zone", options->timing.time_zone, "Time zone (UTC)")->type_name("ZONE");
  command->add_option("-n,--count", options->count, "So many times (5)")
      ->type_name("N")
      ->check(whole_number(1, 10'000));
  command->add_option("--from", options->from, "Later than this (now)")->type_name("TIME");
  command->add_flag("--json", options->json, "One JSON array of times in UTC");
  command->callback([&chosen, options] {
    chosen = [options](Invocation& invocation) { return next(*options, invocation); };
  });
}

}  // namespace relevo::cli
