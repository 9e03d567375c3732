#include <CLI/App.hpp>
#include <memory>

#include "cli/command.hpp"
#include "cli/json_text.hpp"
#include "cli/table.hpp"
#include "daemon.hpp"
#include "relevo/postgres/migrator.hpp"
#include "wiring.hpp"

namespace relevo::cli {
namespace {

constexpr auto kFooter = R"(
Needs CREATE on the database, no superuser (docs/database.md). Any number of processes may run it at once.
Silent when there is nothing to do.

Examples:
  relevo migrate
  relevo migrate --status
  relevo migrate --print | less       for a DBA who applies it by hand; needs no database)";

struct Options {
  bool status = false;
  bool print = false;
  bool json = false;
};

const char* state_of(const postgres::MigrationStatus& migration) {
  if (!migration.applied_at) return "pending";
  return migration.altered ? "altered" : "applied";
}

int print_status(const Invocation& invocation, bool json) {
  const auto migrations = postgres::Migrator(connect_options(load_config(invocation))).status();
  Json all = Json::array();
  Table table({">version", "name", "state", "applied at"});
  for (const auto& migration : migrations) {
    all.push_back({{"version", migration.version},
                   {"name", migration.name},
                   {"state", state_of(migration)},
                   {"applied_at", json_or_null(migration.applied_at)}});
    table.add({std::to_string(migration.version), migration.name, state_of(migration),
               migration.applied_at.value_or("")});
  }
  invocation.out.print(json ? json_line(all) : table.text());
  return exit_code::kOk;
}

int apply(const Invocation& invocation, bool json) {
  const auto config = load_config(invocation);
  Json all = Json::array();
  postgres::Migrator(connect_options(config))
      .migrate(config.relay.shards, [&](int version, std::string_view name) {
        all.push_back({{"version", version}, {"name", name}});
        if (json) return;
        invocation.out.print("applied migration " + std::to_string(version) + " " +
                             std::string(name) + "\n");
      });
  if (json) invocation.out.print(json_line({{"applied", all}}));
  return exit_code::kOk;
}

}  // namespace

void add_migrate(CLI::App& parent, Action& chosen) {
  auto* command = parent.add_subcommand("migrate", "Create the schema, or bring it up to date");
  command->footer(kFooter);
  // Owners: the parser, which fills it, and the action.
  const auto options = std::make_shared<Options>();
  auto* status =
      command->add_flag("--status", options->status, "Only show what is applied and what is not");
  auto* print =
      command->add_flag("--print", options->print, "Print the SQL instead; needs no database");
  auto* json = command->add_flag("--json", options->json, "One JSON value instead of text");
  print->excludes(status)->excludes(json);
  command->callback([&chosen, options] {
    chosen = [options](Invocation& invocation) {
      if (options->print) {
        invocation.out.print(postgres::Migrator::print());
        return exit_code::kOk;
      }
      return options->status ? print_status(invocation, options->json)
                             : apply(invocation, options->json);
    };
  });
}

}  // namespace relevo::cli
