#include <CLI/App.hpp>
#include <memory>

#include "cli/job_filter.hpp"
#include "cli/jobs_commands.hpp"
#include "cli/table.hpp"
#include "cli/whole_number.hpp"
#include "daemon.hpp"
#include "wiring.hpp"

namespace relevo::cli {
namespace {

constexpr auto kFooter = R"(
For tests of programs that enqueue: silent with exit code 0 when such a job waits or runs, else exit code 1
and what there is instead. Reads all jobs, so not for a database with millions of them.

Example:
  relevo jobs assert-enqueued --kind mail.send --payload '{"to": 42}' --count 1)";

struct Options {
  JobFilter filter;
  std::optional<std::int64_t> count;
};

int assert_enqueued(const Options& options, const Invocation& invocation) {
  const auto filter = options.filter.json();
  postgres::JobAdmin admin(connect_options(load_config(invocation)));
  const auto found = admin.count(filter);
  if (options.count ? found == *options.count : found > 0) return exit_code::kOk;
  const auto wanted = options.count ? count_text(*options.count, "job") : "a job";
  JobFilter kind;
  kind.kind = options.filter.kind;
  std::string line = "assert-enqueued: wanted " + wanted + ", found " +
                     (found == 0 ? "none" : std::to_string(found)) + " that match";
  if (kind.json() != filter) {
    line += "; of kind " + *kind.kind + " there are " + std::to_string(admin.count(kind.json()));
  }
  throw Failure(exit_code::kFailed, line);
}

}  // namespace

void add_jobs_assert_enqueued(CLI::App& parent, Action& chosen) {
  auto* command =
      parent.add_subcommand("assert-enqueued", "Succeed only if such a job waits or runs");
  command->footer(kFooter);
  // Owners: the parser, which fills it, and the action.
  const auto options = std::make_shared<Options>();
  auto& filter = options->filter;
  command->add_option("--kind", filter.kind, "Of this kind; may end in *")
      ->type_name("KIND")
      ->required();
  command->add_option("--queue", filter.queue, "Of this queue")->type_name("QUEUE");
  command->add_option("--payload", filter.payload, "Whose payload contains this JSON")
      ->type_name("JSON");
  command->add_option("--count", options->count, "Exactly so many (at least one)")
      ->type_name("N")
      ->check(whole_number(0, std::numeric_limits<std::int64_t>::max()));
  command->callback([&chosen, options] {
    chosen = [options](Invocation& invocation) { return assert_enqueued(*options, invocation); };
  });
}

}  // namespace relevo::cli
