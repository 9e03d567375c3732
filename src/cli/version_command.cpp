#include <CLI/App.hpp>
#include <memory>

#include "cli/command.hpp"
#include "cli/json_text.hpp"
#include "daemon.hpp"
#include "relevo/kafka/cluster.hpp"
#include "relevo/postgres/inspector.hpp"
#include "relevo/postgres/migrator.hpp"
#include "wiring.hpp"

namespace relevo::cli {
namespace {

int print_version(Invocation& invocation, bool json) {
  const int schema = postgres::Migrator::program_version();
  if (json) {
    invocation.out.print(json_line({{"version", version()},
                                    {"schema_version", schema},
                                    {"librdkafka", kafka::librdkafka_version()},
                                    {"libpq", postgres::libpq_version()}}));
  } else {
    invocation.out.print("relevo " + std::string(version()) + " (schema version " +
                         std::to_string(schema) + ", librdkafka " + kafka::librdkafka_version() +
                         ", libpq " + postgres::libpq_version() + ")\n");
  }
  return exit_code::kOk;
}

}  // namespace

void add_version(CLI::App& parent, Action& chosen) {
  auto* command = parent.add_subcommand(
      "version", "Print the versions of relevo, of the schema it knows, and of its libraries");
  // Owners: the parser, which fills it, and the action.
  const auto json = std::make_shared<bool>(false);
  command->add_flag("--json", *json, "One JSON object");
  command->callback([&chosen, json] {
    chosen = [json](Invocation& invocation) { return print_version(invocation, *json); };
  });
}

}  // namespace relevo::cli
