// What `relevo status` shows, from one look or two at the database, as text and as JSON.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/job_report.hpp"
#include "relevo/postgres/inspector.hpp"

namespace relevo::cli {

// Everything of one moment.
struct Look {
  postgres::NewestEvent newest;
  postgres::Backlog backlog;
  std::vector<postgres::ReplicaStatus> replicas;
  std::vector<postgres::ShardStatus> shards;
  std::vector<postgres::DeadCount> dead;
  std::int64_t waiting_aggregates = 0;
  std::optional<JobLook> jobs;
};

Look look_at(postgres::Inspector& inspector, std::optional<postgres::JobAdmin>& jobs,
             std::chrono::milliseconds lease);

// Events published (or parked) per second between two looks: the ids drawn, less what the backlog
// has grown by. Rolled back transactions draw ids, too. Nothing when no time has passed.
std::optional<double> published_per_second(const postgres::NewestEvent& from,
                                           const postgres::Backlog& before,
                                           const postgres::NewestEvent& to,
                                           const postgres::Backlog& after);

std::string status_text(const Look& look, std::optional<double> rate);
std::string status_json(const Look& look, std::optional<double> rate);

}  // namespace relevo::cli
