#include "relevo/postgres/inspector.hpp"

#include <libpq-fe.h>

#include "figures.hpp"
#include "nullable.hpp"
#include "statements.hpp"

namespace relevo::postgres {
namespace {

std::vector<std::int64_t> ids_of(const Result& result) {
  std::vector<std::int64_t> ids;
  for (int i = 0; i < result.rows(); ++i) ids.push_back(result.int8(i, 0));
  return ids;
}

std::vector<ParkedEvent> parked_events(const Result& result) {
  std::vector<ParkedEvent> events;
  for (int i = 0; i < result.rows(); ++i)
    events.push_back({result.int8(i, 0), result.string(i, 1)});
  return events;
}

}  // namespace

std::string libpq_version() {
  const int number = PQlibVersion();  // 150018
  return std::to_string(number / 10'000) + "." + std::to_string(number % 10'000);
}

Backlog Inspector::backlog() {
  const auto result = connection_.run(statements::kBacklog);
  Backlog backlog;
  if (result.rows() == 0) return backlog;
  backlog.events = result.int8(0, 0);
  backlog.exact = result.boolean(0, 1);
  if (!result.is_null(0, 2)) backlog.oldest = result.time(0, 2);
  return backlog;
}

std::vector<ShardStatus> Inspector::shards() {
  const auto result = connection_.run(statements::kShardStatus);
  std::vector<ShardStatus> shards;
  for (int i = 0; i < result.rows(); ++i) {
    ShardStatus status;
    status.shard = result.int2(i, 0);
    if (!result.is_null(i, 1) && result.boolean(i, 2)) status.holder = result.string(i, 1);
    status.epoch = result.int8(i, 3);
    status.tick_a = result.int8(i, 4);
    status.tick_b = result.int8(i, 5);
    status.last_id = result.int8(i, 6);
    status.behind = std::chrono::microseconds(result.int8(i, 7));
    shards.push_back(std::move(status));
  }
  return shards;
}

std::vector<ReplicaStatus> Inspector::replicas(std::chrono::milliseconds lease) {
  const auto result =
      connection_.run(statements::kReplicasAlive, Params().add(lease).add(std::nullopt));
  std::vector<ReplicaStatus> replicas;
  for (int i = 0; i < result.rows(); ++i) {
    replicas.push_back({result.string(i, 0), result.string(i, 1), result.string(i, 2),
                        result.string(i, 3), result.time(i, 4), result.time(i, 5)});
  }
  return replicas;
}

Server Inspector::server() {
  const auto result = connection_.run(statements::kServer);
  Server server;
  server.version = connection_.server_version();
  server.standby = result.boolean(0, 0);
  server.time = result.time(0, 1);
  if (result.boolean(0, 2)) {
    server.system_identifier = connection_.run(statements::kSystemIdentifier).string(0, 0);
  }
  return server;
}

NewestEvent Inspector::newest_event() {
  const auto result = connection_.run(statements::kNewestEvent);
  return {result.int8(0, 0), result.time(0, 1)};
}

std::vector<TopicNames> Inspector::recent_names(int events) {
  const auto result = connection_.run(statements::kRecentNames, Params().add(std::int64_t{events}));
  std::vector<TopicNames> names;
  for (int i = 0; i < result.rows(); ++i) {
    names.push_back({optional_string(result, i, 0), result.string(i, 1), result.string(i, 2),
                     optional_string(result, i, 3)});
  }
  return names;
}

Surroundings Inspector::surroundings() {
  const auto result = connection_.run(statements::kSurroundings);
  Surroundings found;
  found.sequence_cache = result.int8(0, 0);
  found.shards = result.is_null(0, 1) ? 0 : result.int4(0, 1);
  found.positions = result.int4(0, 2);
  const auto partitions = connection_.run(statements::kPartitions);
  found.leaves_ahead = partitions.rows() > 0 ? partitions.int8(0, 0) : 0;
  found.default_in_use = partitions.rows() > 0 && partitions.boolean(0, 1);
  return found;
}

std::vector<DeadCount> Inspector::dead_counts() {
  const auto result = connection_.run(statements::kDeadCounts);
  std::vector<DeadCount> counts;
  for (int i = 0; i < result.rows(); ++i) {
    counts.push_back({result.string(i, 0), result.string(i, 1), result.int8(i, 2)});
  }
  return counts;
}

std::int64_t Inspector::dead_aggregates() {
  return connection_.run(statements::kDeadAggregates).int8(0, 0);
}

std::vector<DeadEventChoice> Inspector::dead_by_id(std::span<const std::int64_t> ids) {
  const auto result = connection_.run(statements::kDeadById, Params().add_array(ids));
  std::vector<DeadEventChoice> events;
  for (int i = 0; i < result.rows(); ++i) {
    events.push_back({result.int8(i, 0), result.string(i, 1), result.string(i, 2),
                      result.string(i, 3), result.string(i, 4),
                      result.is_null(i, 5) ? 0 : result.int8(i, 5)});
  }
  return events;
}

std::vector<ParkedEvent> Inspector::dead_of_aggregate(const std::string& type,
                                                      const std::string& id, std::int64_t after,
                                                      int limit) {
  return parked_events(
      connection_.run(statements::kDeadOfAggregate,
                      Params().add(type).add(id).add(after).add(std::int64_t{limit})));
}

std::vector<ParkedEvent> Inspector::dead_refused(std::int64_t after,
                                                 const std::optional<std::string>& reason,
                                                 int limit) {
  Params params;
  params.add(after);
  add_optional(params, reason).add(std::int64_t{limit});
  return parked_events(connection_.run(statements::kDeadRefused, params));
}

std::vector<DeadEventRow> Inspector::dead_list(std::int64_t after,
                                               const std::optional<std::string>& state, int limit) {
  Params params;
  params.add(after);
  add_optional(params, state).add(std::int64_t{limit});
  const auto result = connection_.run(statements::kDeadList, params);
  std::vector<DeadEventRow> rows;
  for (int i = 0; i < result.rows(); ++i) {
    const auto text = [&](int column) {
      return result.is_null(i, column) ? std::string() : result.string(i, column);
    };
    DeadEventRow row;
    row.id = result.int8(i, 0);
    row.shard = result.int2(i, 1);
    row.event_id = text(2);
    row.aggregate_type = text(3);
    row.aggregate_id = text(4);
    row.event_type = text(5);
    row.topic = result.is_null(i, 7) ? text(6) : text(7);
    if (!result.is_null(i, 9)) row.payload_bytes = result.int4(i, 9);
    row.created_at = result.time(i, 10);
    row.state = text(11);
    row.reason = text(12);
    row.error = text(13);
    row.attempts = result.int4(i, 14);
    row.parked_at = result.time(i, 15);
    rows.push_back(std::move(row));
  }
  return rows;
}

std::vector<std::int64_t> Inspector::dead_retry(std::span<const std::int64_t> ids) {
  return ids_of(connection_.run(statements::kDeadMarkRetry, Params().add_array(ids)));
}

std::vector<std::int64_t> Inspector::dead_skip(std::span<const std::int64_t> ids) {
  return ids_of(connection_.run(statements::kDeadMarkSkipped, Params().add_array(ids)));
}

std::string Inspector::publish(const NewEvent& event) {
  Params params;
  params.add(event.aggregate_type).add(event.aggregate_id).add(event.event_type);
  add_optional(params, event.payload).add(event.headers);
  add_optional(params, event.topic);
  add_optional(params, event.tenant);
  return connection_.run(statements::kPublish, params).string(0, 0);
}

std::vector<QueueFigures> Inspector::queue_figures() {
  return queue_figures_of(connection_.run(statements::kQueueFigures));
}

std::vector<DeadMessageCount> Inspector::dead_message_counts() {
  return dead_message_counts_of(connection_.run(statements::kMessageCounts));
}

int Inspector::ensure_partitions(int ahead) {
  return connection_.run(statements::kEnsurePartitions, Params().add(std::int64_t{ahead}))
      .int4(0, 0);
}

std::int64_t Inspector::prune_ticks() {
  return connection_.run(statements::kPruneTicks).int8(0, 0);
}

void Inspector::tidy_jobs(std::chrono::milliseconds history, std::chrono::milliseconds inbox) {
  (void)connection_.run(statements::kTidyJobs, Params().add(history).add(inbox));
}

}  // namespace relevo::postgres
