#include <CLI/App.hpp>

#include "cli/command.hpp"
#include "cli/no_endpoint_metrics.hpp"
#include "handler_set.hpp"
#include "isolation.hpp"
#include "relevo/logging/make_log.hpp"
#include "relevo/postgres/jobs.hpp"
#include "wiring.hpp"

namespace relevo::cli {
namespace {

int run_job(const Invocation& invocation) {
  prepare_isolated_job();
  const auto config = load_config_with_warnings(invocation).config;
  logging::Options options;
  options.level = *logging::parse_level(config.log.level);
  options.format = *logging::parse_format(config.log.format);
  const auto log = logging::make_log(options);
  NoEndpointMetrics metrics;
  HandlerSet handlers(config, metrics, *log, core::system_clock());
  handlers.start();
  const auto database = connect_options(config);
  run_isolated_jobs(
      handlers.registry(),
      [&](std::string worker) {
        return std::make_unique<postgres::UnitSource>(database, std::move(worker));
      },
      *log);
}

}  // namespace

// Started by the worker, not by people: jobs come by standard input.
void add_isolated_job(CLI::App& parent, Action& chosen) {
  auto* command = parent.add_subcommand("isolated-job", "Run the jobs that come by standard input");
  command->group("");
  command->callback([&chosen] { chosen = run_job; });
}

}  // namespace relevo::cli
