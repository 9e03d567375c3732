#include <CLI/App.hpp>
#include <iostream>
#include <memory>

#include "cli/event_arguments.hpp"
#include "cli/job_filter.hpp"
#include "cli/jobs_commands.hpp"
#include "cli/schedules_commands.hpp"
#include "cli/whole_number.hpp"
#include "daemon.hpp"
#include "wiring.hpp"

namespace relevo::cli {
namespace {

constexpr auto kFooter = R"(
Stores one job in a transaction of its own and prints its id; programs call relevo.enqueue() in theirs
(docs/jobs.md). With a unique key that is taken, it is the id of the job that has it.

Examples:
  relevo jobs enqueue mail.send '{"to": 42}' --queue mail
  relevo jobs enqueue report.build @report.json --run-at 2026-03-29T03:00:00+02:00 --timeout 2h
  relevo jobs enqueue cache.warm --unique-key cache --on-conflict after_running)";

struct Options {
  postgres::JobRequest job;
  std::optional<std::string> payload;
  std::vector<std::string> headers;
  std::optional<std::string> run_at;
  std::optional<std::string> expires_at;
  std::optional<std::string> timeout;
  bool json = false;
};

int enqueue(Options options, const Invocation& invocation) {
  auto& job = options.job;
  if (options.payload) job.payload = read_payload(*options.payload, std::cin);
  require_json("payload", job.payload);
  job.headers = headers_json(options.headers);
  if (options.run_at) job.run_at = parse_time_option("--run-at", *options.run_at);
  if (options.expires_at) job.expires_at = parse_time_option("--expires-at", *options.expires_at);
  if (options.timeout) job.timeout = parse_interval("--timeout", *options.timeout);
  const auto id = postgres::JobAdmin(connect_options(load_config(invocation))).enqueue(job);
  invocation.out.print(options.json ? json_line({{"job_id", id}}) : std::to_string(id) + "\n");
  return exit_code::kOk;
}

}  // namespace

void add_jobs_enqueue(CLI::App& parent, Action& chosen) {
  auto* command = parent.add_subcommand("enqueue", "Store one job; prints its id");
  command->footer(kFooter);
  // Owners: the parser, which fills it, and the action.
  const auto options = std::make_shared<Options>();
  auto& job = options->job;
  command->add_option("KIND", job.kind, "What is to be done, e.g. mail.send")->required();
  command->add_option("PAYLOAD", options->payload,
                      "JSON ({}); - reads standard input, @FILE a file");
  command->add_option("--queue", job.queue, "Queue (default)")->type_name("QUEUE");
  command->add_option("--run-at", options->run_at, "Not before this time (now)")->type_name("TIME");
  command->add_option("--priority", job.priority, "Larger is sooner (0)")
      ->type_name("N")
      ->check(whole_int());
  command->add_option("--unique-key", job.unique_key, "One job of this key waits or runs at a time")
      ->type_name("KEY");
  command
      ->add_option("--on-conflict", job.on_conflict,
                   "When the unique key is taken: keep, replace, after_running (keep)")
      ->type_name("WHAT")
      ->check(CLI::IsMember({"keep", "replace", "after_running"}));
  command->add_option("--concurrency-key", job.concurrency_key, "Jobs of this key run one by one")
      ->type_name("KEY");
  command->add_option("--rate-key", job.rate_key, "Counts against the limit of this key")
      ->type_name("KEY");
  command->add_option("--tenant", job.tenant, "Tenant, for fair shares")->type_name("TENANT");
  command->add_option("--max-attempts", job.max_attempts, "Then it is dead (by its kind)")
      ->type_name("N")
      ->check(whole_number(1, 10'000));
  command->add_option("--timeout", options->timeout, "Of one attempt: 30s, 15m, 2h (by its kind)")
      ->type_name("TIME");
  command->add_option("--expires-at", options->expires_at, "Not started after this time")
      ->type_name("TIME");
  command->add_option("--header", options->headers, "Header NAME=VALUE; may be repeated")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  command->add_flag("--json", options->json, "One JSON object");
  command->callback([&chosen, options] {
    chosen = [options](Invocation& invocation) { return enqueue(*options, invocation); };
  });
}

}  // namespace relevo::cli
