#include <CLI/App.hpp>
#include <memory>

#include "cli/jobs_commands.hpp"
#include "cli/operation_watch.hpp"
#include "cli/table.hpp"
#include "cli/whole_number.hpp"
#include "daemon.hpp"
#include "wiring.hpp"

namespace relevo::cli {
namespace {

constexpr auto kFooter = R"(
What was asked for many jobs at once, and edits that a worker had to do; kept for a week. LANES LEFT: not
yet done there, and waits for a worker where there is none.)";

struct Options {
  int limit = 20;
  bool json = false;
};

int list(const Options& options, const Invocation& invocation) {
  const auto all =
      postgres::JobAdmin(connect_options(load_config(invocation))).operations(options.limit);
  if (options.json) {
    Json array = Json::array();
    for (const auto& operation : all) array.push_back(operation_json(operation));
    invocation.out.print(json_line(array));
    return exit_code::kOk;
  }
  if (all.empty()) {
    invocation.out.print("no operations\n");
    return exit_code::kOk;
  }
  Table table(
      {">id", "what", ">changed", ">stopping", ">lanes left", "requested", "finished", "filter"});
  for (const auto& one : all) {
    table.add({std::to_string(one.id), one.what, std::to_string(one.changed),
               std::to_string(one.stopping), std::to_string(one.lanes_left),
               iso_time(one.requested_at), one.finished_at ? iso_time(*one.finished_at) : "-",
               one.filter});
  }
  invocation.out.print(table.text());
  return exit_code::kOk;
}

}  // namespace

void add_jobs_operations(CLI::App& parent, Action& chosen) {
  auto* command = parent.add_subcommand("operations", "What was asked for many jobs, newest first");
  command->footer(kFooter);
  // Owners: the parser, which fills it, and the action.
  const auto options = std::make_shared<Options>();
  command->add_option("--limit", options->limit, "At most so many (20)")
      ->type_name("N")
      ->check(whole_number(1, 10'000));
  command->add_flag("--json", options->json, "One JSON array");
  command->callback([&chosen, options] {
    chosen = [options](Invocation& invocation) { return list(*options, invocation); };
  });
}

}  // namespace relevo::cli
