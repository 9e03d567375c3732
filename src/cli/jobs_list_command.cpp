#include <CLI/App.hpp>
#include <memory>

#include "cli/job_filter.hpp"
#include "cli/jobs_commands.hpp"
#include "cli/page.hpp"
#include "cli/table.hpp"
#include "daemon.hpp"
#include "wiring.hpp"

namespace relevo::cli {
namespace {

constexpr auto kFooter = R"(
Finished jobs are listed as long as their history is kept, but not by payload: completed ones have none.
--payload is containment: '{"order": 42}' finds every payload that has this member.

Examples:
  relevo jobs list --state dead --kind 'mail.*'
  relevo jobs list --payload '{"order": 42}'
  relevo jobs list --payload-path '$.total > 1000' --json)";

struct Options {
  JobFilter filter;
  PageOptions page;
};

std::string to_table(const std::vector<postgres::JobStatus>& jobs) {
  if (jobs.empty()) return "no jobs\n";
  Table table({">id", "state", "kind", "queue", ">prio", ">attempts", "enqueued", "due", "worker",
               "error"});
  for (const auto& job : jobs) {
    const bool waits = job.state == "scheduled" || job.state == "retryable";
    table.add({std::to_string(job.id), job.state, job.kind, job.queue, std::to_string(job.priority),
               std::to_string(job.attempts), iso_time(job.created_at),
               waits && job.run_at ? iso_time(*job.run_at) : "-", job.worker.value_or("-"),
               job.error.value_or("-")});
  }
  return table.text();
}

int list(const Options& options, const Invocation& invocation) {
  const auto filter = options.filter.json();
  postgres::JobAdmin admin(connect_options(load_config(invocation)));
  const auto& page = options.page;
  print_page(invocation, page, admin.list(filter, page.after, page.rows_to_read()), job_json,
             to_table);
  return exit_code::kOk;
}

}  // namespace

void add_jobs_list(CLI::App& parent, Action& chosen) {
  auto* command = parent.add_subcommand("list", "Jobs in the order of their ids");
  command->footer(kFooter);
  // Owners: the parser, which fills it, and the action.
  const auto options = std::make_shared<Options>();
  add_filter_options(*command, options->filter, FilterOf::kAll);
  add_page_options(*command, options->page);
  command->callback([&chosen, options] {
    chosen = [options](Invocation& invocation) { return list(*options, invocation); };
  });
}

}  // namespace relevo::cli
