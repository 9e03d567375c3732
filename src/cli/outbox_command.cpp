#include <CLI/App.hpp>

#include "cli/command.hpp"

namespace relevo::cli {

void add_outbox(CLI::App& parent, Action& chosen) {
  auto* command =
      parent.add_subcommand("outbox", "Follow events, publish one, deal with dead ones");
  command->require_subcommand(1);
  add_outbox_tail(*command, chosen);
  add_outbox_publish(*command, chosen);
  add_outbox_dead(*command, chosen);
}

}  // namespace relevo::cli
