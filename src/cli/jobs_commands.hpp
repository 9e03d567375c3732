// The commands below `relevo jobs`, as in command.hpp, and what they share.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cli/command.hpp"
#include "cli/json_text.hpp"
#include "relevo/postgres/job_admin.hpp"

namespace relevo::cli {

void add_jobs_list(CLI::App& parent, Action& chosen);
void add_jobs_show(CLI::App& parent, Action& chosen);
void add_jobs_enqueue(CLI::App& parent, Action& chosen);
void add_jobs_edit(CLI::App& parent, Action& chosen);
void add_jobs_retry(CLI::App& parent, Action& chosen);
void add_jobs_cancel(CLI::App& parent, Action& chosen);
void add_jobs_discard(CLI::App& parent, Action& chosen);
void add_jobs_operations(CLI::App& parent, Action& chosen);
void add_jobs_assert_enqueued(CLI::App& parent, Action& chosen);
void add_jobs_drain(CLI::App& parent, Action& chosen);

// Everything but payload, headers and result.
Json job_json(const postgres::JobStatus& job);
// One object with what job_show tells: the last of the runs, the ones before under earlier_runs.
std::string details_json(const std::vector<postgres::JobDetails>& runs);
std::string details_text(const std::vector<postgres::JobDetails>& runs);

// The change of `jobs edit` as relevo.edit_job() takes it; throws UsageError when it is none.
struct JobChange {
  std::optional<std::string> payload;  // JSON
  std::optional<std::string> run_at;
  std::optional<int> priority;
  std::optional<std::string> queue;

  std::string json() const;
};

// What was done to a job by its id, or why not.
struct JobAnswer {
  std::int64_t id = 0;
  std::string answer;
};

// Whether the answer says that it was done, or will be.
bool is_done(std::string_view answer);
// One object {"verb": …, "jobs": [{id, answer}]}.
std::string answers_json(std::string_view verb, const std::vector<JobAnswer>& answers);
// What the answer means and what helps, for a person.
std::string explain_answer(std::string_view verb, const JobAnswer& answer);

}  // namespace relevo::cli
