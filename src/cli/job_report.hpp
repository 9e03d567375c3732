// What `relevo status` shows of jobs, schedules and subscriptions, as text and as JSON.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/queues_commands.hpp"

namespace relevo::cli {

struct JobLook {
  QueuesLook queues;
  std::vector<postgres::LaneHolder> lanes;
  postgres::ScheduleFigures schedules;
  std::vector<postgres::DeadMessageCount> parked;
};

// nullopt: this user may not look at jobs (a relay's own role); then `admin` is gone as well.
std::optional<JobLook> look_at_jobs(std::optional<postgres::JobAdmin>& admin);

std::string jobs_text(const std::optional<JobLook>& look);
// Members of the status object; each null when nothing may be seen.
void add_jobs_json(Json& status, const std::optional<JobLook>& look);

}  // namespace relevo::cli
