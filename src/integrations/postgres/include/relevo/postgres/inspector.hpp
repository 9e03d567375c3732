// What people and probes ask the database about the relay, and its upkeep. One connection; errors as
// Connection. Everything here is cheap at any backlog.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "relevo/postgres/connection.hpp"

namespace relevo::postgres {

struct Backlog {
  std::int64_t events = 0;
  bool exact = true;  // false: an estimate from ids
  std::optional<core::WallTime> oldest;
};

struct ShardStatus {
  int shard = 0;
  std::optional<std::string> holder;  // nullopt: free
  std::int64_t epoch = 0;
  std::int64_t tick_a = 0;
  std::int64_t tick_b = 0;
  std::int64_t last_id = 0;
  std::chrono::microseconds behind{};  // age of the tick up to which all is done
};

struct ReplicaStatus {
  std::string id;
  std::string version;
  std::string host;
  std::string roles;
  core::WallTime started_at;
  core::WallTime seen_at;
};

struct DeadEventRow {
  std::int64_t id = 0;
  int shard = 0;
  std::string event_id;
  std::string aggregate_type;
  std::string aggregate_id;
  std::string event_type;
  std::string topic;  // it was to go to
  std::optional<std::int32_t> payload_bytes;
  core::WallTime created_at;
  std::string state;
  std::string reason;
  std::string error;
  int attempts = 0;
  core::WallTime parked_at;
};

struct DeadCount {
  std::string state;
  std::string reason;
  std::int64_t events = 0;
};

struct Surroundings {
  int server_version = 0;
  bool standby = false;
  std::string system_identifier;   // empty: not allowed to read it
  std::int64_t sequence_cache = 0;  // of outbox ids; more than 1 breaks the order of an aggregate
  core::WallTime server_time;
  int shards = 0;
  std::int64_t leaves_ahead = 0;
  bool default_in_use = false;  // rows spilt past the last partition
};

struct NewEvent {
  std::string aggregate_type;
  std::string aggregate_id;
  std::string event_type;
  std::optional<std::string> payload;  // JSON; nullopt: tombstone
  std::string headers = "{}";          // JSON object
  std::optional<std::string> topic;
  std::optional<std::string> tenant;
};

class Inspector {
 public:
  explicit Inspector(const ConnectOptions& options) : connection_(options) {}

  Backlog backlog();
  std::vector<ShardStatus> shards();
  std::vector<ReplicaStatus> replicas(std::chrono::milliseconds lease);
  Surroundings surroundings();

  std::vector<DeadCount> dead_counts();
  // Rows with a larger id, in any state if none is given.
  std::vector<DeadEventRow> dead_list(std::int64_t after, std::optional<std::string> state, int limit);
  std::int64_t dead_aggregates();
  // Both return the ids that were changed.
  std::vector<std::int64_t> dead_retry(std::span<const std::int64_t> ids);
  std::vector<std::int64_t> dead_skip(std::span<const std::int64_t> ids);

  std::string publish(const NewEvent& event);  // returns the event id

  int ensure_partitions(int ahead);
  std::int64_t prune_ticks();

 private:
  Connection connection_;
};

}  // namespace relevo::postgres
