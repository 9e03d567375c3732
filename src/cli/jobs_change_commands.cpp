// jobs retry, cancel and discard: of jobs by their ids, or of all that match.
#include <CLI/App.hpp>
#include <algorithm>
#include <functional>
#include <memory>

#include "cli/job_filter.hpp"
#include "cli/jobs_commands.hpp"
#include "cli/operation_watch.hpp"
#include "cli/table.hpp"
#include "cli/whole_number.hpp"
#include "daemon.hpp"
#include "wiring.hpp"

namespace relevo::cli {
namespace {

constexpr auto kOfAll = R"(
With filters and --all it acts on all jobs that match, in the background: each worker in the lanes it
holds. It is waited for and says how many it changed; --no-wait prints the operation's id instead.
)";

constexpr auto kRetryFooter = R"(
A job that waits for its time runs now; a dead one waits again, with all its attempts.

Examples:
  relevo jobs retry 4711 4712
  relevo jobs retry --state dead --kind 'mail.*' --all)";

constexpr auto kCancelFooter = R"(
A job that waits is removed, one that runs is asked to stop. A dead one is discarded instead.

Examples:
  relevo jobs cancel 4711
  relevo jobs cancel --unique-key cache
  relevo jobs cancel --queue mail --tenant acme --all)";

constexpr auto kDiscardFooter = R"(
Removes dead jobs for good; the history keeps their payload for as long as it lasts.

Examples:
  relevo jobs discard 4711
  relevo jobs discard --kind mail.send --before 2026-03-29T00:00:00Z --all)";

struct Options {
  std::vector<std::int64_t> ids;
  JobFilter filter;
  bool all = false;
  bool no_wait = false;
  bool json = false;
};

struct Verb {
  std::string name;
  const char* help;
  std::string footer;
  std::function<std::vector<JobAnswer>(postgres::JobAdmin&, const std::vector<std::int64_t>&)> act;
};

void check(const std::string& verb, const Options& options) {
  if (!options.ids.empty()) {
    if (options.all || !options.filter.empty()) {
      throw UsageError(verb + ": give ids, or filters and --all, not both");
    }
    if (options.no_wait) throw UsageError("--no-wait: goes with --all");
    return;
  }
  if (options.all || (verb == "cancel" && options.filter.only_unique_key())) return;
  throw UsageError(options.filter.empty()
                       ? verb + ": which jobs? Give their ids, or filters and --all"
                       : verb + ": filters mean all jobs that match; add --all if that is meant");
}

int report(const std::string& verb, const std::vector<JobAnswer>& answers, const Options& options,
           const Invocation& invocation) {
  if (options.json) invocation.out.print(answers_json(verb, answers));
  bool all_done = true;
  for (const auto& answer : answers) {
    const auto line = explain_answer(verb, answer);
    if (!is_done(answer.answer)) {
      all_done = false;
      complain(line);
    } else if (!options.json) {
      invocation.out.print(line + "\n");
    }
  }
  return all_done ? exit_code::kOk : exit_code::kFailed;
}

int cancel_by_key(postgres::JobAdmin& admin, const Options& options, const Invocation& invocation) {
  const auto answer = admin.cancel(*options.filter.unique_key);
  if (!is_done(answer)) {
    throw Failure(exit_code::kFailed,
                  "unique key \"" + *options.filter.unique_key +
                      "\": no job with it waits or runs; see `relevo jobs list --unique-key`");
  }
  invocation.out.print(
      options.json ? json_line({{"command", "cancel"},
                                {"unique_key", *options.filter.unique_key},
                                {"answer", answer}})
                   : answer + (answer == "requested" ? "; it runs and is asked to stop\n" : "\n"));
  return exit_code::kOk;
}

int change_all(postgres::JobAdmin& admin, const std::string& verb, const Options& options,
               const Invocation& invocation) {
  const auto operation = admin.start(verb, options.filter.json());
  if (options.no_wait) {
    invocation.out.print(options.json ? json_line({{"operation", operation}})
                                      : std::to_string(operation) + "\n");
    return exit_code::kOk;
  }
  const auto finished = wait_for(admin, operation);
  if (!finished) {
    complain("goes on in the background as operation " + std::to_string(operation) +
             "; see `relevo jobs operations`");
    return exit_code::kFailed;
  }
  auto line = std::string(past_of(verb)) + " " + count_text(finished->changed, "job");
  if (finished->stopping > 0) {
    line += "; asked " + count_text(finished->stopping, "running job") + " to stop";
  }
  invocation.out.print(options.json ? json_line(operation_json(*finished)) : line + "\n");
  return exit_code::kOk;
}

int change(const Verb& verb, const Options& options, const Invocation& invocation) {
  check(verb.name, options);
  (void)options.filter.json();  // its mistakes before any connection
  postgres::JobAdmin admin(connect_options(load_config(invocation)));
  if (!options.ids.empty()) {
    return report(verb.name, verb.act(admin, options.ids), options, invocation);
  }
  if (!options.all) return cancel_by_key(admin, options, invocation);
  return change_all(admin, verb.name, options, invocation);
}

void add_change(CLI::App& parent, Action& chosen, Verb verb) {
  auto* command = parent.add_subcommand(verb.name, verb.help);
  command->footer(verb.footer);
  // Owners: the parser, which fills it, and the action.
  const auto options = std::make_shared<Options>();
  command->add_option("ID", options->ids, "Ids as in `jobs list`")->check(whole_id());
  add_filter_options(*command, options->filter, FilterOf::kUnfinished);
  command->add_flag("--all", options->all, "All jobs that match; without filters, all there are");
  command->add_flag("--no-wait", options->no_wait,
                    "With --all: print the operation's id and leave");
  command->add_flag("--json", options->json, "One JSON object");
  command->callback([&chosen, options, verb = std::move(verb)] {
    chosen = [options, verb](Invocation& invocation) { return change(verb, *options, invocation); };
  });
}

}  // namespace

void add_jobs_retry(CLI::App& parent, Action& chosen) {
  add_change(parent, chosen,
             {"retry", "Run jobs now, also dead ones", std::string(kOfAll) + kRetryFooter,
              [](postgres::JobAdmin& admin, const std::vector<std::int64_t>& ids) {
                std::vector<JobAnswer> answers;
                for (const auto id : ids) answers.push_back({id, admin.retry(id)});
                return answers;
              }});
}

void add_jobs_cancel(CLI::App& parent, Action& chosen) {
  add_change(
      parent, chosen,
      {"cancel", "Remove jobs that wait, stop jobs that run", std::string(kOfAll) + kCancelFooter,
       [](postgres::JobAdmin& admin, const std::vector<std::int64_t>& ids) {
         std::vector<JobAnswer> answers;
         for (const auto id : ids) answers.push_back({id, admin.cancel(id)});
         return answers;
       }});
}

void add_jobs_discard(CLI::App& parent, Action& chosen) {
  add_change(parent, chosen,
             {"discard", "Remove dead jobs", std::string(kOfAll) + kDiscardFooter,
              [](postgres::JobAdmin& admin, const std::vector<std::int64_t>& ids) {
                const auto discarded = admin.discard(ids);
                std::vector<JobAnswer> answers;
                for (const auto id : ids) {
                  const bool is_gone = std::ranges::find(discarded, id) != discarded.end();
                  answers.push_back({id, is_gone ? "discarded" : "not found"});
                }
                return answers;
              }});
}

}  // namespace relevo::cli
