#include <CLI/App.hpp>

#include "cli/jobs_commands.hpp"

namespace relevo::cli {
namespace {

constexpr auto kFooter = R"(
States: available (waits for a worker), scheduled (for its time), retryable (for its next attempt), running,
dead (failed for good), quarantined (its process died too often), completed, cancelled, discarded.

Typical:
  relevo jobs list --state dead
  relevo jobs show 4711                                with payload and failed attempts
  relevo jobs retry 4711                               now, also a dead one
  relevo jobs cancel --kind mail.send --before 2026-03-29T00:00:00Z --all
  relevo jobs enqueue mail.send '{"to": 42}' --queue mail)";

}  // namespace

void add_jobs(CLI::App& parent, Action& chosen) {
  auto* command = parent.add_subcommand(
      "jobs", "Jobs: list, show, enqueue, edit, retry, cancel, discard, drain, operations");
  command->footer(kFooter);
  command->require_subcommand(1);
  add_jobs_list(*command, chosen);
  add_jobs_show(*command, chosen);
  add_jobs_enqueue(*command, chosen);
  add_jobs_edit(*command, chosen);
  add_jobs_retry(*command, chosen);
  add_jobs_cancel(*command, chosen);
  add_jobs_discard(*command, chosen);
  add_jobs_operations(*command, chosen);
  add_jobs_assert_enqueued(*command, chosen);
  add_jobs_drain(*command, chosen);
}

}  // namespace relevo::cli
