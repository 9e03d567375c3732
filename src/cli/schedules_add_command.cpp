#include <CLI/App.hpp>
#include <iostream>
#include <memory>
#include <stdexcept>

#include "cli/event_arguments.hpp"
#include "cli/schedules_commands.hpp"
#include "cli/whole_number.hpp"
#include "daemon.hpp"
#include "wiring.hpp"

namespace relevo::cli {
namespace {

constexpr auto kFooter = R"(
A schedule of this name is changed; when its timing changes, it counts from now. A schedule that the
configuration has as well is put back to that by the next start of a scheduler.

Examples:
  relevo schedules add nightly report.build '{"days": 1}' --cron '0 3 * * *' --zone Europe/Madrid
  relevo schedules add pulse health.probe --every 15m --missed skip
  relevo schedules add sync stock.sync --every 1m --unique-key stock.sync   never two at a time
  relevo schedules add launch mail.send @launch.json --at 2026-03-29T09:00:00+02:00)";

struct Options {
  worker::ScheduleDefinition schedule;
  std::optional<std::string> payload;
  std::vector<std::string> headers;
  std::optional<std::string> every;
  std::optional<std::string> at;
};

int add(Options options, const Invocation& invocation) {
  auto& schedule = options.schedule;
  if (options.payload) schedule.payload = read_payload(*options.payload, std::cin);
  schedule.headers = headers_json(options.headers);
  try {
    if (options.every) schedule.timing.every = parse_interval("--every", *options.every);
    if (options.at) schedule.timing.at = worker::parse_instant(*options.at);
    (void)worker::TimeZone::find(schedule.timing.time_zone);
    (void)worker::parse_timing(schedule.timing);
  } catch (const std::invalid_argument& error) {
    throw UsageError(error.what());
  }
  postgres::Schedules(connect_options(load_config(invocation))).put(schedule);
  return exit_code::kOk;
}

}  // namespace

void add_schedules_add(CLI::App& parent, Action& chosen) {
  auto* command = parent.add_subcommand("add", "Make a schedule, or change one");
  command->footer(kFooter);
  // Owners: the parser, which fills it, and the action.
  const auto options = std::make_shared<Options>();
  auto& schedule = options->schedule;
  command->add_option("NAME", schedule.name, "What it is called")->required();
  command->add_option("KIND", schedule.kind, "Kind of its jobs")->required();
  command->add_option("PAYLOAD", options->payload,
                      "JSON of its jobs ({}); - reads standard input, @FILE a file");
  auto* when = command->add_option_group("when", "When");
  when->add_option("--cron", schedule.timing.cron, "Cron expression, five fields or six")
      ->type_name("CRON");
  when->add_option("--every", options->every, "Interval: 30s, 15m, 2h, 7d")->type_name("TIME");
  when->add_option("--at", options->at, "Once: 2026-03-29T09:00:00+02:00")->type_name("TIME");
  when->require_option(1);
  command->add_option("--zone", schedule.timing.time_zone, "Time zone of --cron (UTC)")
      ->type_name("ZONE");
  command->add_option("--queue", schedule.queue, "Queue of its jobs (default)")->type_name("QUEUE");
  command->add_option("--priority", schedule.priority, "Larger is sooner (0)")
      ->type_name("N")
      ->check(whole_int());
  command
      ->add_option("--unique-key", schedule.unique_key,
                   "No other job is made while one with this key is unfinished")
      ->type_name("KEY");
  command->add_option("--concurrency-key", schedule.concurrency_key, "Concurrency key of its jobs")
      ->type_name("KEY");
  command->add_option("--rate-key", schedule.rate_key, "Rate key of its jobs")->type_name("KEY");
  command->add_option("--tenant", schedule.tenant, "Tenant of its jobs")->type_name("NAME");
  command->add_option("--header", options->headers, "Header NAME=VALUE; may be repeated")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  command
      ->add_option("--missed", schedule.missed, "Ticks nobody could fire: skip, once, all (once)")
      ->type_name("WHAT")
      ->check(CLI::IsMember({"skip", "once", "all"}));
  command->add_option("--missed-max", schedule.missed_max, "With all: at most so many (100)")
      ->type_name("N")
      ->check(whole_number(1, 10'000));
  command->callback([&chosen, options] {
    chosen = [options](Invocation& invocation) { return add(*options, invocation); };
  });
}

}  // namespace relevo::cli
