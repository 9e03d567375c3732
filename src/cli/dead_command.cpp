#include <CLI/App.hpp>

#include "cli/command.hpp"
#include "cli/dead_commands.hpp"

namespace relevo::cli {
namespace {

constexpr auto kFooter = R"(
An event that Kafka refuses is parked, and later events of its aggregate queue behind it; all others flow.
A missing topic needs nothing from you: once it is there, its events go on by themselves.

Typical:
  relevo outbox dead list
  relevo outbox dead retry --reason too_large      after raising max.message.bytes
  relevo outbox dead skip 4711                     never publish this one; what queues behind it goes on)";

}  // namespace

void add_outbox_dead(CLI::App& parent, Action& chosen) {
  auto* command =
      parent.add_subcommand("dead", "Events that could not be published: list, retry, skip");
  command->footer(kFooter);
  command->require_subcommand(1);
  add_dead_list(*command, chosen);
  add_dead_retry(*command, chosen);
  add_dead_skip(*command, chosen);
}

}  // namespace relevo::cli
