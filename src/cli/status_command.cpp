#include <CLI/App.hpp>
#include <memory>

#include "cli/command.hpp"
#include "cli/explain.hpp"
#include "cli/status_report.hpp"
#include "cli/stop_signal.hpp"
#include "daemon.hpp"
#include "relevo/core/error.hpp"
#include "wiring.hpp"

namespace relevo::cli {
namespace {

using namespace std::chrono_literals;

constexpr auto kFooter = R"(
The rate comes from two looks, one second apart: the ids that were drawn, less what the backlog has grown
by. It is an estimate: transactions that roll back draw ids, too, and a backlog above 10,000 events (≈) is
estimated from ids.

Examples:
  relevo status
  relevo status --watch
  relevo status --json | jq .backlog.events)";

constexpr auto kInterval = 1s;
constexpr auto kClearScreen = "\x1b[H\x1b[2J";

struct Options {
  bool watch = false;
  bool json = false;
};

int show_once(const Options& options, const Invocation& invocation) {
  const auto config = load_config(invocation);
  StopSignal stop;
  StatusSource source(connect_options(config));
  const auto before = look_at_events(source.events);
  if (before && stop.wait(kInterval)) return exit_code::kOk;
  const auto look = look_at(source, config.relay.lease_ttl);
  const auto rate = published_per_second(before, look.events);
  invocation.out.print(options.json ? status_json(look, rate) : status_text(look, rate));
  return exit_code::kOk;
}

// Goes on through an outage of the database.
int watch(const Options& options, const Invocation& invocation) {
  const auto config = load_config(invocation);
  const auto database = connect_options(config);
  StopSignal stop;
  std::optional<StatusSource> source(database);
  std::optional<EventLook> before;
  do {
    try {
      if (!source) source.emplace(database);
      const auto look = look_at(*source, config.relay.lease_ttl);
      const auto rate = published_per_second(before, look.events);
      const bool clear = invocation.out.is_terminal() && !options.json;
      invocation.out.print((clear ? kClearScreen : "") + (options.json
                                                              ? status_json(look, rate)
                                                              : status_text(look, rate) + "\n"));
      before = look.events;
    } catch (const core::IntegrationError& error) {
      if (error.kind() != core::ErrorKind::kDisconnected) throw;
      complain(explain(error) + " (trying again)");
      source.reset();
      before.reset();
    }
  } while (!stop.wait(kInterval));
  return exit_code::kOk;
}

}  // namespace

void add_status(CLI::App& parent, Action& chosen) {
  auto* command = parent.add_subcommand(
      "status", "Replicas, shards, backlog, rate, dead events; queues, workers, schedules");
  command->footer(kFooter);
  // Owners: the parser, which fills it, and the action.
  const auto options = std::make_shared<Options>();
  command->add_flag("--watch", options->watch, "Again each second until Ctrl-C");
  command->add_flag("--json", options->json, "One JSON object; with --watch one a line");
  command->callback([&chosen, options] {
    chosen = [options](Invocation& invocation) {
      return options->watch ? watch(*options, invocation) : show_once(*options, invocation);
    };
  });
}

}  // namespace relevo::cli
