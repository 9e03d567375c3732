// The commands that take the name of a schedule and nothing else.
#include <CLI/App.hpp>
#include <functional>
#include <memory>

#include "cli/schedules_commands.hpp"
#include "daemon.hpp"
#include "relevo/core/nearest.hpp"
#include "wiring.hpp"

namespace relevo::cli {
namespace {

using postgres::Schedules;

[[noreturn]] void there_is_none(Schedules& schedules, const std::string& name) {
  std::vector<std::string> known;
  for (const auto& schedule : schedules.list()) known.push_back(schedule.definition.name);
  const auto meant = core::nearest(name, known);
  throw Failure(exit_code::kFailed,
                "schedule \"" + name + "\": there is none of this name; " +
                    (meant ? "did you mean \"" + *meant + "\"?" : "see `relevo schedules`"));
}

// change: false when there is no such schedule.
void add_command(CLI::App& parent, Action& chosen, const char* verb, const char* help,
                 const char* footer,
                 std::function<bool(Schedules&, const std::string&, Invocation&)> change) {
  auto* command = parent.add_subcommand(verb, help);
  command->footer(footer);
  // Owners: the parser, which fills it, and the action.
  const auto name = std::make_shared<std::string>();
  command->add_option("NAME", *name, "As `relevo schedules` shows it")->required();
  command->callback([&chosen, name, change = std::move(change)] {
    chosen = [name, change](Invocation& invocation) {
      Schedules schedules(connect_options(load_config(invocation)));
      if (!change(schedules, *name, invocation)) there_is_none(schedules, *name);
      return exit_code::kOk;
    };
  });
}

}  // namespace

void add_schedules_remove(CLI::App& parent, Action& chosen) {
  add_command(
      parent, chosen, "remove", "Remove a schedule; its jobs stay",
      "\nOne that the configuration has comes back with the next start of a scheduler; pause "
      "it instead.",
      [](Schedules& schedules, const std::string& name, Invocation&) {
        return schedules.remove(name);
      });
}

void add_schedules_pause(CLI::App& parent, Action& chosen) {
  add_command(parent, chosen, "pause", "Fire no more ticks of a schedule until it is resumed",
              "\nIt stays paused over restarts and changes of the configuration.",
              [](Schedules& schedules, const std::string& name, Invocation&) {
                return schedules.pause(name);
              });
}

void add_schedules_resume(CLI::App& parent, Action& chosen) {
  add_command(parent, chosen, "resume", "Fire the ticks of a schedule again, from now on",
              "\nWhat fell into the pause is not made up.",
              [](Schedules& schedules, const std::string& name, Invocation&) {
                return schedules.resume(name);
              });
}

void add_schedules_run(CLI::App& parent, Action& chosen) {
  add_command(parent, chosen, "run", "Make one job of a schedule now; prints the job's id",
              "\nIts ticks are not touched by it; a paused schedule can be run as well.",
              [](Schedules& schedules, const std::string& name, Invocation& invocation) {
                const auto job = schedules.run(name);
                if (job) invocation.out.print(std::to_string(*job) + "\n");
                return job.has_value();
              });
}

}  // namespace relevo::cli
