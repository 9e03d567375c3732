#include "cli/command_line.hpp"

#include <CLI/CLI.hpp>
#include <iostream>

#include "daemon.hpp"
#include "relevo/config/load.hpp"
#include "relevo/core/error.hpp"
#include "relevo/logging/make_log.hpp"
#include "relevo/postgres/migrator.hpp"
#include "wiring.hpp"

namespace relevo::cli {

int run(int argc, char** argv) {
  CLI::App app{"relevo"};
  std::string file;
  app.add_option("-c,--config", file);
  auto* run_command = app.add_subcommand("run", "Start the daemon");
  auto* migrate = app.add_subcommand("migrate", "Bring the schema up to date");
  app.require_subcommand(1);
  CLI11_PARSE(app, argc, argv);
  config::Source source{file.empty() ? std::nullopt : std::optional(file), config::process_environment()};
  auto loaded = config::load(source);
  for (const auto& problem : loaded.warnings) std::cerr << "warning: " << problem.line() << "\n";
  for (const auto& problem : loaded.errors) std::cerr << problem.line() << "\n";
  if (!loaded.ok()) return exit_code::kMisconfigured;
  try {
    if (*migrate) {
      postgres::Migrator migrator(connect_options(loaded.config));
      migrator.migrate(loaded.config.relay.shards, [](int version, std::string_view name) {
        std::cerr << "applied " << version << " " << name << "\n";
      });
      return exit_code::kOk;
    }
    if (*run_command) {
      logging::Options options;
      options.level = *logging::parse_level(loaded.config.log.level);
      options.format = *logging::parse_format(loaded.config.log.format);
      const auto log = logging::make_log(options);
      return Daemon(loaded.config, *log).run();
    }
  } catch (const core::IntegrationError& error) {
    std::cerr << error.what() << "\n";
    return error.kind() == core::ErrorKind::kMisconfigured ? exit_code::kMisconfigured
                                                           : exit_code::kUnavailable;
  }
  return exit_code::kUsage;
}

}  // namespace relevo::cli
