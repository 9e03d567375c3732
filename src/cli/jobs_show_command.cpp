#include <CLI/App.hpp>
#include <memory>

#include "cli/jobs_commands.hpp"
#include "cli/whole_number.hpp"
#include "daemon.hpp"
#include "wiring.hpp"

namespace relevo::cli {
namespace {

constexpr auto kFooter = R"(
With its payload and the attempts that failed. The payload of a job that completed is not kept.)";

struct Options {
  std::int64_t id = 0;
  bool json = false;
};

int show(const Options& options, const Invocation& invocation) {
  const auto runs = postgres::JobAdmin(connect_options(load_config(invocation))).show(options.id);
  if (runs.empty()) {
    throw Failure(exit_code::kFailed, "job " + std::to_string(options.id) +
                                          ": there is none of this id, or its history is no "
                                          "longer kept; see `relevo jobs list`");
  }
  invocation.out.print(options.json ? details_json(runs) : details_text(runs));
  return exit_code::kOk;
}

}  // namespace

void add_jobs_show(CLI::App& parent, Action& chosen) {
  auto* command = parent.add_subcommand("show", "Everything that is known of one job");
  command->footer(kFooter);
  // Owners: the parser, which fills it, and the action.
  const auto options = std::make_shared<Options>();
  command->add_option("ID", options->id, "As in `jobs list`")->required()->check(whole_id());
  command->add_flag("--json", options->json, "One JSON object");
  command->callback([&chosen, options] {
    chosen = [options](Invocation& invocation) { return show(*options, invocation); };
  });
}

}  // namespace relevo::cli
