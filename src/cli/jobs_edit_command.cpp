#include <CLI/App.hpp>
#include <chrono>
#include <iostream>
#include <memory>

#include "cli/event_arguments.hpp"
#include "cli/job_filter.hpp"
#include "cli/jobs_commands.hpp"
#include "cli/stop_signal.hpp"
#include "cli/whole_number.hpp"
#include "daemon.hpp"
#include "wiring.hpp"

namespace relevo::cli {
namespace {

using namespace std::chrono_literals;

constexpr auto kPatience = 5s;
constexpr auto kLookEvery = 50ms;

constexpr auto kFooter = R"(
Only while it waits: one that runs is left alone, with exit code 1. A job without unique key is changed by
the worker that has it; without one, it stays asked for until a worker comes. A time in the past is now.

Examples:
  relevo jobs edit 4711 --payload '{"to": 43}'
  relevo jobs edit 4711 --run-at 2026-03-29T03:00:00+02:00 --priority 10)";

struct Options {
  std::int64_t id = 0;
  JobChange change;
  bool json = false;
};

// What became of it; "requested": nobody has looked at it in time.
std::string answer_of(postgres::JobAdmin& admin, std::int64_t operation) {
  StopSignal stop;
  const auto until = core::BootClock::now() + kPatience;
  do {
    const auto now = admin.operation(operation);
    if (now && now->finished_at) return now->changed > 0 ? "edited" : "running";
  } while (core::BootClock::now() < until && !stop.wait(kLookEvery));
  return "requested";
}

int edit(Options options, const Invocation& invocation) {
  if (options.change.payload) {
    options.change.payload = read_payload(*options.change.payload, std::cin);
  }
  const auto change = options.change.json();
  postgres::JobAdmin admin(connect_options(load_config(invocation)));
  const auto asked = admin.edit(options.id, change);
  const JobAnswer answer{options.id,
                         asked.operation ? answer_of(admin, *asked.operation) : asked.answer};
  if (options.json) {
    invocation.out.print(answers_json("edit", {answer}));
  } else if (answer.answer == "requested") {
    invocation.out.print("job " + std::to_string(options.id) +
                         ": requested; no worker holds its lane, the next one does it\n");
  } else if (is_done(answer.answer)) {
    invocation.out.print(explain_answer("edit", answer) + "\n");
  }
  if (is_done(answer.answer)) return exit_code::kOk;
  complain(explain_answer("edit", answer));
  return exit_code::kFailed;
}

}  // namespace

void add_jobs_edit(CLI::App& parent, Action& chosen) {
  auto* command = parent.add_subcommand("edit", "Change a job that waits");
  command->footer(kFooter);
  // Owners: the parser, which fills it, and the action.
  const auto options = std::make_shared<Options>();
  auto& change = options->change;
  command->add_option("ID", options->id, "As in `jobs list`")->required()->check(whole_id());
  command
      ->add_option("--payload", change.payload,
                   "JSON instead of the payload; - reads standard input, @FILE a file")
      ->type_name("JSON");
  command->add_option("--run-at", change.run_at, "Not before this time")->type_name("TIME");
  command->add_option("--priority", change.priority, "Larger is sooner")
      ->type_name("N")
      ->check(whole_int());
  command->add_option("--queue", change.queue, "Another queue")->type_name("QUEUE");
  command->add_flag("--json", options->json, "One JSON object");
  command->callback([&chosen, options] {
    chosen = [options](Invocation& invocation) { return edit(*options, invocation); };
  });
}

}  // namespace relevo::cli
