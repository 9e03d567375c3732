#include <stdexcept>

#include "cli/json_text.hpp"
#include "cli/schedules_commands.hpp"
#include "cli/table.hpp"
#include "daemon.hpp"
#include "wiring.hpp"

namespace relevo::cli {
namespace {

constexpr auto kFooter = R"(
Times are UTC. NEXT TICK: paused; never (it has fired for the last time); - (a scheduler
has yet to compute it, or there is none); broken (the reason follows on standard error). JOB is the
newest job of a tick.)";

// nullopt: it can be fired.
std::optional<std::string> problem_of(const postgres::ScheduleStatus& schedule) {
  try {
    (void)worker::parse_timing(schedule.definition.timing);
    (void)worker::parse_missed(schedule.definition.missed);
    return std::nullopt;
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
}

Json time_json(const std::optional<core::WallTime>& time) {
  return time ? Json(iso_time(*time)) : Json();
}

Json to_json(const postgres::ScheduleStatus& schedule) {
  const auto& definition = schedule.definition;
  const auto& timing = definition.timing;
  const auto problem = problem_of(schedule);
  return {{"name", definition.name},
          {"cron", json_or_null(timing.cron)},
          {"every", timing.every ? Json(interval_text(*timing.every)) : Json()},
          {"at", time_json(timing.at)},
          {"time_zone", timing.time_zone},
          {"kind", definition.kind},
          {"queue", definition.queue},
          {"payload", Json::parse(definition.payload, nullptr, false)},
          {"headers", Json::parse(definition.headers, nullptr, false)},
          {"priority", definition.priority},
          {"unique_key", json_or_null(definition.unique_key)},
          {"concurrency_key", json_or_null(definition.concurrency_key)},
          {"rate_key", json_or_null(definition.rate_key)},
          {"tenant", json_or_null(definition.tenant)},
          {"missed", definition.missed},
          {"missed_max", definition.missed_max},
          {"paused", schedule.paused},
          {"origin", schedule.origin},
          {"last_tick", time_json(schedule.last_tick)},
          {"next_tick", time_json(schedule.next_tick)},
          {"last_job", json_or_null(schedule.last_job)},
          {"last_state", json_or_null(schedule.last_state)},
          {"problem", json_or_null(problem)}};
}

std::string next_text(const postgres::ScheduleStatus& schedule) {
  if (problem_of(schedule)) return "broken";
  if (schedule.paused) return "paused";
  if (schedule.next_tick) return iso_time(*schedule.next_tick);
  return schedule.last_tick ? "never" : "-";
}

int list(bool json, const Invocation& invocation) {
  const auto all = postgres::Schedules(connect_options(load_config(invocation))).list();
  if (json) {
    Json array = Json::array();
    for (const auto& schedule : all) array.push_back(to_json(schedule));
    invocation.out.print(json_line(array));
    return exit_code::kOk;
  }
  if (all.empty()) {
    invocation.out.print("no schedules\n");
    return exit_code::kOk;
  }
  Table table({"name", "when", "time zone", "kind", "queue", "origin", "last tick", ">job", "state",
               "next tick"});
  for (const auto& schedule : all) {
    const auto& definition = schedule.definition;
    table.add({definition.name, timing_text(definition.timing),
               definition.timing.cron ? definition.timing.time_zone : "-", definition.kind,
               definition.queue, schedule.origin,
               schedule.last_tick ? iso_time(*schedule.last_tick) : "-",
               schedule.last_job ? std::to_string(*schedule.last_job) : "-",
               schedule.last_state.value_or("-"), next_text(schedule)});
  }
  invocation.out.print(table.text());
  for (const auto& schedule : all) {
    if (const auto problem = problem_of(schedule)) {
      complain("schedule " + schedule.definition.name + ": " + *problem);
    }
  }
  return exit_code::kOk;
}

}  // namespace

void add_schedules_list(CLI::App& parent, Action& chosen) {
  add_default_list(
      parent, chosen,
      {"All schedules, with their last and next tick", kFooter, "One JSON array", list});
}

}  // namespace relevo::cli
