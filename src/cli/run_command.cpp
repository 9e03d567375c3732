#include <CLI/App.hpp>

#include "cli/command.hpp"
#include "daemon.hpp"
#include "relevo/logging/make_log.hpp"

namespace relevo::cli {
namespace {

constexpr auto kFooter = R"(
Runs in the foreground and logs to standard error. SIGTERM and Ctrl-C stop it after what is in flight is
done (at most shutdown.grace); a second one ends it at once. It waits for PostgreSQL, Kafka and the schema.
Probes and metrics: http.listen (/livez, /readyz, /metrics).)";

int run_daemon(const Invocation& invocation) {
  const auto loaded = load_config_with_warnings(invocation);
  logging::Options options;
  options.level = *logging::parse_level(loaded.config.log.level);
  options.format = *logging::parse_format(loaded.config.log.format);
  const auto log = logging::make_log(options);
  for (const auto& problem : loaded.warnings) {
    log->warn("configuration", {{"where", problem.where}, {"problem", problem.message}});
  }
  return Daemon(loaded.config, isolated_job_command(loaded), *log).run();
}

}  // namespace

void add_run(CLI::App& parent, Action& chosen) {
  auto* command = parent.add_subcommand("run", "Start the daemon");
  command->footer(kFooter);
  command->callback([&chosen] { chosen = run_daemon; });
}

}  // namespace relevo::cli
