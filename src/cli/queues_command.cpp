#include <CLI/App.hpp>

#include "cli/queues_commands.hpp"

namespace relevo::cli {
namespace {

constexpr auto kFooter = R"(
A change reaches the workers within about a second; what runs, runs to its end.

Typical:
  relevo queues
  relevo queues pause mail
  relevo queues concurrency mail 20
  relevo queues rate smtp.example.com 10 --burst 50)";

}  // namespace

void add_queues(CLI::App& parent, Action& chosen) {
  auto* command =
      parent.add_subcommand("queues", "Queues and limits: list, pause, resume, concurrency, rate");
  command->footer(kFooter);
  add_queues_list(*command, chosen);
  add_queues_pause(*command, chosen);
  add_queues_resume(*command, chosen);
  add_queues_concurrency(*command, chosen);
  add_queues_rate(*command, chosen);
  add_queues_weight(*command, chosen);
}

}  // namespace relevo::cli
