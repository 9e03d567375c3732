// What people and probes ask the database about the relay, and its upkeep. One connection; errors
// as Connection. Everything here is cheap at any backlog.
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

// What every database can tell, also one without the schema.
struct Server {
  int version = 0;  // 150018
  bool standby = false;
  std::string system_identifier;  // empty: not allowed to read it
  core::WallTime time;
};

struct Surroundings {
  std::int64_t sequence_cache = 0;  // of outbox ids; more than 1 breaks the order of an aggregate
  int shards = 0;
  int positions = 0;  // rows; fewer than shards: deleted by hand, their events would never be read
  std::int64_t leaves_ahead = 0;
  bool default_in_use = false;  // rows spilt past the last partition
};

struct NewestEvent {
  std::int64_t id = 0;  // 0: none yet
  core::WallTime asked_at;
};

struct QueueFigures {
  std::string queue;
  std::int64_t ready = 0;                     // and not in flight
  bool exact = true;                          // false: extrapolated from a sample
  std::optional<core::WallTime> ready_since;  // the oldest of them
  std::int64_t dead = 0;                      // of all queues at most 10,001 are counted
};

struct DeadMessageCount {
  std::string subscription;
  std::int64_t messages = 0;  // at most 10,001
  core::WallTime oldest_at;
};

// What decides an event's topic.
struct TopicNames {
  std::optional<std::string> topic;
  std::string aggregate_type;
  std::string event_type;
  std::optional<std::string> tenant;
};

// What an operator's choice of a dead event rests on.
struct DeadEventChoice {
  std::int64_t id = 0;
  std::string state;
  std::string reason;
  std::string aggregate_type;
  std::string aggregate_id;
  std::int64_t first_id = 0;  // of the aggregate's events that wait; 0: none does
};

struct ParkedEvent {
  std::int64_t id = 0;
  std::string reason;
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

std::string libpq_version();

class Inspector {
 public:
  explicit Inspector(const ConnectOptions& options) : connection_(options) {}

  Backlog backlog();
  std::vector<ShardStatus> shards();
  std::vector<ReplicaStatus> replicas(std::chrono::milliseconds lease);
  Server server();
  Surroundings surroundings();
  NewestEvent newest_event();
  // Of the newest `events`, each combination once, at most 1000 of them.
  std::vector<TopicNames> recent_names(int events);

  std::vector<DeadCount> dead_counts();
  // Rows with a larger id, in any state if none is given.
  std::vector<DeadEventRow> dead_list(std::int64_t after, const std::optional<std::string>& state,
                                      int limit);
  std::int64_t dead_aggregates();
  std::vector<DeadEventChoice> dead_by_id(std::span<const std::int64_t> ids);
  // Parked events with a larger id: of an aggregate, or all that are parked for a reason of their
  // own.
  std::vector<ParkedEvent> dead_of_aggregate(const std::string& type, const std::string& id,
                                             std::int64_t after, int limit);
  std::vector<ParkedEvent> dead_refused(std::int64_t after,
                                        const std::optional<std::string>& reason, int limit);
  // Both return the ids that were changed.
  std::vector<std::int64_t> dead_retry(std::span<const std::int64_t> ids);
  std::vector<std::int64_t> dead_skip(std::span<const std::int64_t> ids);

  std::string publish(const NewEvent& event);  // returns the event id

  // Queues that have jobs.
  std::vector<QueueFigures> queue_figures();
  // Subscriptions that have any.
  std::vector<DeadMessageCount> dead_message_counts();

  int ensure_partitions(int ahead);
  std::int64_t prune_ticks();
  // Drops what is older than these, and makes room for the next days.
  void tidy_jobs(std::chrono::milliseconds history, std::chrono::milliseconds inbox);

 private:
  Connection connection_;
};

}  // namespace relevo::postgres
