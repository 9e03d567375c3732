// What `relevo status` shows, from one look or two at the database, as text and as JSON.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/job_report.hpp"
#include "relevo/postgres/inspector.hpp"

namespace relevo::cli {

struct EventLook {
  postgres::NewestEvent newest;
  postgres::Backlog backlog;
  std::vector<postgres::ShardStatus> shards;
  std::vector<postgres::DeadCount> dead;
  std::int64_t waiting_aggregates = 0;
};

// Everything of one moment.
struct Look {
  core::WallTime asked_at;
  std::vector<postgres::ReplicaStatus> replicas;
  std::optional<EventLook> events;
  std::optional<JobLook> jobs;
};

// One connection each: a refusal costs it.
struct StatusSource {
  explicit StatusSource(const postgres::ConnectOptions& database)
      : replicas(database), events(database), jobs(database) {}

  postgres::Inspector replicas;
  std::optional<postgres::Inspector> events;
  std::optional<postgres::JobAdmin> jobs;
};

// nullopt: this user may not see events (a worker's own role); then `events` is gone as well.
std::optional<EventLook> look_at_events(std::optional<postgres::Inspector>& events);
Look look_at(StatusSource& source, std::chrono::milliseconds lease);

// Events published (or parked) per second between two looks: the ids drawn, less what the backlog
// has grown by. Rolled back transactions draw ids, too. Nothing when no time has passed.
std::optional<double> published_per_second(const std::optional<EventLook>& before,
                                           const std::optional<EventLook>& after);

std::string status_text(const Look& look, std::optional<double> rate);
std::string status_json(const Look& look, std::optional<double> rate);

}  // namespace relevo::cli
