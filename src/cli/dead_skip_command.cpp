#include <CLI/App.hpp>
#include <memory>

#include "cli/dead_commands.hpp"
#include "cli/event_arguments.hpp"
#include "cli/table.hpp"
#include "cli/whole_number.hpp"
#include "daemon.hpp"
#include "wiring.hpp"

namespace relevo::cli {
namespace {

constexpr auto kFooter = R"(
A skipped event is never published; its consumers do not see that something is missing. The relay then
publishes, in order, what queued behind it. More than one event at a time needs --yes.

Examples:
  relevo outbox dead skip 4711
  relevo outbox dead skip 4711 4712 --yes
  relevo outbox dead skip --aggregate order/42 --yes     all of its events that are parked)";

struct Options {
  std::vector<std::int64_t> ids;
  std::optional<std::string> aggregate;
  bool yes = false;
  bool json = false;
};

DeadChoice choose_of_aggregate(postgres::Inspector& inspector, const std::string& aggregate) {
  const auto [type, id] = parse_aggregate(aggregate);
  DeadChoice choice;
  for (std::int64_t after = 0;;) {
    const auto events = inspector.dead_of_aggregate(type, id, after, kDeadBatch);
    for (const auto& event : events) choice.ids.push_back(event.id);
    if (events.size() < static_cast<std::size_t>(kDeadBatch)) return choice;
    after = events.back().id;
  }
}

int skip(const Options& options, const Invocation& invocation) {
  if (options.aggregate) (void)parse_aggregate(*options.aggregate);
  postgres::Inspector inspector(connect_options(load_config(invocation)));
  auto choice = options.aggregate ? choose_of_aggregate(inspector, *options.aggregate)
                                  : choose_to_skip(options.ids, inspector.dead_by_id(options.ids));
  if (choice.ids.size() > 1 && !options.yes) {
    throw UsageError("skip: would drop " + std::to_string(choice.ids.size()) +
                     " events, which are then never published; add --yes if that is meant");
  }
  choice.ids = inspector.dead_skip(choice.ids);
  const auto count = static_cast<std::int64_t>(choice.ids.size());
  if (options.json) {
    invocation.out.print(dead_json("skipped", choice.ids, choice.declined));
  } else if (count > 0) {
    invocation.out.print("skipped " + count_text(count, "event") +
                         "; the relay publishes what queued behind, in order\n");
  } else if (choice.declined.empty()) {
    invocation.out.print("no parked events match\n");
  }
  return report_declined(choice.declined);
}

}  // namespace

void add_dead_skip(CLI::App& parent, Action& chosen) {
  auto* command =
      parent.add_subcommand("skip", "Never publish dead events; those behind them go on");
  command->footer(kFooter);
  // Owners: the parser, which fills it, and the action.
  const auto options = std::make_shared<Options>();
  auto* which = command->add_option_group("which", "Which events");
  which->add_option("ID", options->ids, "Ids as in `outbox dead list`")->check(whole_id());
  which->add_option("--aggregate", options->aggregate, "All parked ones of one aggregate")
      ->type_name("TYPE/ID");
  which->require_option(1);
  command->add_flag("--yes", options->yes, "Also when it is more than one event");
  command->add_flag("--json", options->json, "One JSON object");
  command->callback([&chosen, options] {
    chosen = [options](Invocation& invocation) { return skip(*options, invocation); };
  });
}

}  // namespace relevo::cli
