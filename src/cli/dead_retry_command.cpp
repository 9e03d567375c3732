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
Releases events; the relay publishes them, and then, in order, what queued behind them. Do it after the
cause is gone: an event that is refused again is parked again. An event that only queues behind another
cannot be retried alone. A skipped event can, by its id; it then comes after those that followed it.

Examples:
  relevo outbox dead retry 4711 4712
  relevo outbox dead retry --aggregate order/42
  relevo outbox dead retry --reason too_large
  relevo outbox dead retry --all)";

struct Options {
  std::vector<std::int64_t> ids;
  std::optional<std::string> aggregate;
  std::optional<std::string> reason;
  bool all = false;
  bool json = false;
};

void append(std::vector<std::int64_t>& to, const std::vector<std::int64_t>& ids) {
  to.insert(to.end(), ids.begin(), ids.end());
}

// Releases everything that stands in the way of the aggregates asked for.
std::vector<std::int64_t> release_refused(postgres::Inspector& inspector, const Options& options) {
  std::vector<std::int64_t> released;
  for (std::int64_t after = 0;;) {
    const auto events = inspector.dead_refused(after, options.reason, kDeadBatch);
    if (events.empty()) return released;
    std::vector<std::int64_t> ids;
    for (const auto& event : events) ids.push_back(event.id);
    append(released, inspector.dead_retry(ids));
    after = ids.back();
  }
}

std::vector<std::int64_t> release_aggregate(postgres::Inspector& inspector,
                                            const std::string& aggregate) {
  const auto [type, id] = parse_aggregate(aggregate);
  std::vector<std::int64_t> ids;
  bool is_first = true;
  for (std::int64_t after = 0;;) {
    const auto events = inspector.dead_of_aggregate(type, id, after, kDeadBatch);
    for (const auto& event : events) {
      // What queues behind is released by the relay, but nobody stands before the first.
      if (is_first || event.reason != "queued_behind") ids.push_back(event.id);
      is_first = false;
    }
    if (events.size() < static_cast<std::size_t>(kDeadBatch)) return inspector.dead_retry(ids);
    after = events.back().id;
  }
}

int retry(const Options& options, const Invocation& invocation) {
  if (options.reason == "queued_behind") {
    throw UsageError(
        "--reason queued_behind: such events wait for an earlier one of their aggregate; retry "
        "or skip that one (`relevo outbox dead list`)");
  }
  if (options.aggregate) (void)parse_aggregate(*options.aggregate);
  postgres::Inspector inspector(connect_options(load_config(invocation)));
  DeadChoice choice;
  if (options.aggregate) {
    choice.ids = release_aggregate(inspector, *options.aggregate);
  } else if (options.reason || options.all) {
    choice.ids = release_refused(inspector, options);
  } else {
    choice = choose_to_retry(options.ids, inspector.dead_by_id(options.ids));
    choice.ids = inspector.dead_retry(choice.ids);
  }
  const auto count = static_cast<std::int64_t>(choice.ids.size());
  if (options.json) {
    invocation.out.print(dead_json("released", choice.ids, choice.declined));
  } else if (count > 0) {
    invocation.out.print("released " + count_text(count, "event") +
                         "; the relay publishes them, then what queued behind them, in order\n");
  } else if (choice.declined.empty()) {
    invocation.out.print("no parked events match\n");
  }
  return report_declined(choice.declined);
}

}  // namespace

void add_dead_retry(CLI::App& parent, Action& chosen) {
  auto* command = parent.add_subcommand("retry", "Publish dead events after all");
  command->footer(kFooter);
  // Owners: the parser, which fills it, and the action.
  const auto options = std::make_shared<Options>();
  auto* which = command->add_option_group("which", "Which events");
  which->add_option("ID", options->ids, "Ids as in `outbox dead list`")->check(whole_id());
  which->add_option("--aggregate", options->aggregate, "Those of one aggregate")
      ->type_name("TYPE/ID");
  which->add_option("--reason", options->reason, "Those parked for this reason")
      ->type_name("REASON");
  which->add_flag("--all", options->all, "All that are parked");
  which->require_option(1);
  command->add_flag("--json", options->json, "One JSON object");
  command->callback([&chosen, options] {
    chosen = [options](Invocation& invocation) { return retry(*options, invocation); };
  });
}

}  // namespace relevo::cli
