#include <CLI/App.hpp>

#include "cli/command.hpp"
#include "handler_set.hpp"
#include "isolation.hpp"
#include "relevo/logging/make_log.hpp"
#include "relevo/postgres/jobs.hpp"
#include "wiring.hpp"

namespace relevo::cli {
namespace {

// What a child process of the worker has no page to show them on.
class NoMetrics final : public webhook::EndpointMetrics {
 public:
  void http_finished(std::string_view, std::string_view, std::chrono::microseconds) override {}
  void breaker_changed(std::string_view, worker::CircuitBreaker::State) override {}
};

int run_job(const Invocation& invocation) {
  prepare_isolated_job();
  const auto config = load_config_with_warnings(invocation).config;
  logging::Options options;
  options.level = *logging::parse_level(config.log.level);
  options.format = *logging::parse_format(config.log.format);
  const auto log = logging::make_log(options);
  NoMetrics metrics;
  HandlerSet handlers(config, metrics, *log, core::system_clock());
  handlers.start();
  const auto database = connect_options(config);
  return run_isolated_job(
      handlers.registry(),
      [&](std::string worker) {
        return std::make_unique<postgres::UnitSource>(database, std::move(worker));
      },
      *log);
}

}  // namespace

// Started by the worker, not by people: the job comes by standard input.
void add_isolated_job(CLI::App& parent, Action& chosen) {
  auto* command = parent.add_subcommand("isolated-job", "Run one job from standard input");
  command->group("");
  command->callback([&chosen] { chosen = run_job; });
}

}  // namespace relevo::cli
