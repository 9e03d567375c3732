#include "relevo/postgres/dead_events.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "outbox_columns.hpp"
#include "statements.hpp"

namespace relevo::postgres {
namespace {

constexpr int kRetryRows = 500;
constexpr std::size_t kReleaseAtOnce = 1'000;  // aggregates; the others at the next look
constexpr std::int64_t kRetryBytes = 8 << 20;
constexpr std::int64_t kTopicBatch = 10'000;

struct AggregateColumns {
  std::vector<std::string> types;
  std::vector<std::string> ids;

  explicit AggregateColumns(std::span<const relay::Aggregate> aggregates) {
    for (const auto& aggregate : aggregates) {
      types.push_back(aggregate.type);
      ids.push_back(aggregate.id);
    }
  }
  Params params() const { return Params().add_array(types).add_array(ids); }
};

}  // namespace

std::vector<relay::BlockedAggregate> DeadEvents::blocked(std::span<const feed::Slice> shards,
                                                         std::size_t most) {
  const auto result = connection_->run(
      statements::kDeadOpen, Params().add_array(shards).add(static_cast<std::int64_t>(most)));
  std::vector<relay::BlockedAggregate> blocked;
  // Whoever removed the event before them ended before it could release them.
  std::vector<relay::Aggregate> left_behind;
  for (int i = 0; i < result.rows(); ++i) {
    relay::Aggregate aggregate{result.string(i, 1), result.string(i, 2)};
    if (result.text(i, 4) == "parked" && result.text(i, 5) == relay::reason::kQueuedBehind &&
        left_behind.size() < kReleaseAtOnce) {
      left_behind.push_back(aggregate);
    }
    blocked.push_back({std::move(aggregate), result.int8(i, 3)});
  }
  if (!left_behind.empty()) {
    connection_->run(statements::kDeadRelease, AggregateColumns(left_behind).params());
  }
  return blocked;
}

std::vector<relay::BlockedAggregate> DeadEvents::blocked_among(
    std::span<const relay::Aggregate> aggregates) {
  const auto open =
      connection_->run(statements::kDeadOpenOf, AggregateColumns(aggregates).params());
  std::vector<relay::BlockedAggregate> blocked;
  for (int i = 0; i < open.rows(); ++i) {
    blocked.push_back({{open.string(i, 1), open.string(i, 2)}, open.int8(i, 3)});
  }
  return blocked;
}

std::vector<feed::RowId> DeadEvents::park(std::span<const relay::ToPark> events,
                                          std::span<const feed::Lease> leases) {
  std::map<feed::Slice, std::int64_t> epochs;
  for (const auto& lease : leases) epochs[lease.slice] = lease.epoch;
  std::vector<std::int64_t> ids, epoch_column;
  std::vector<feed::Slice> shards;
  std::vector<std::string> reasons, errors, targets;
  // Positions are locked in the order of shards everywhere.
  std::vector<relay::ToPark> in_order(events.begin(), events.end());
  std::stable_sort(in_order.begin(), in_order.end(),
                   [](const auto& x, const auto& y) { return x.shard < y.shard; });
  for (const auto& event : in_order) {
    const auto epoch = epochs.find(event.shard);
    if (epoch == epochs.end()) continue;
    ids.push_back(event.id);
    shards.push_back(event.shard);
    epoch_column.push_back(epoch->second);
    reasons.emplace_back(event.reason);
    errors.push_back(event.error);
    targets.push_back(event.target);
  }
  const auto result = connection_->run(statements::kPark, Params()
                                                              .add_array(ids)
                                                              .add_array(shards)
                                                              .add_array(epoch_column)
                                                              .add(holder_)
                                                              .add_array(reasons)
                                                              .add_array(errors)
                                                              .add_array(targets));
  std::vector<feed::RowId> parked;
  for (int i = 0; i < result.rows(); ++i) parked.push_back(result.int8(i, 0));
  return parked;
}

relay::RetryRows DeadEvents::retryable(std::span<const feed::Slice> shards) {
  const auto result = connection_->run(statements::kDeadRetry,
                                       Params().add_array(shards).add(std::int64_t{kRetryRows}));
  auto memory = std::make_shared<EventMemory>();
  memory->results.push_back(result.memory());
  relay::RetryRows rows;
  std::int64_t bytes = 0;
  for (int i = 0; i < result.rows(); ++i) {
    relay::RetryRow row;
    row.event = decode_event(result, i, *memory);
    bytes += row.event.payload_bytes.value_or(0);
    if (!rows.rows.empty() && bytes > kRetryBytes) break;
    row.attempts = result.int4(i, EventColumns::kCount);
    row.queued_behind = result.text(i, EventColumns::kCount + 1) == relay::reason::kQueuedBehind;
    rows.rows.push_back(row);
  }
  fetch_large_payloads(rows, *memory);
  rows.memory = std::move(memory);
  return rows;
}

void DeadEvents::fetch_large_payloads(relay::RetryRows& rows, EventMemory& memory) {
  std::vector<std::int64_t> ids;
  for (const auto& row : rows.rows) {
    if (row.event.payload_is_elsewhere()) ids.push_back(row.event.id);
  }
  if (ids.empty()) return;
  const auto result = connection_->run(statements::kDeadPayloads, Params().add_array(ids));
  memory.results.push_back(result.memory());
  std::map<feed::RowId, std::string_view> payloads;
  for (int i = 0; i < result.rows(); ++i) payloads[result.int8(i, 0)] = result.text(i, 1);
  for (auto& row : rows.rows) {
    const auto found = payloads.find(row.event.id);
    if (row.event.payload_is_elsewhere() && found != payloads.end())
      row.event.payload = found->second;
  }
  std::erase_if(rows.rows, [](const auto& row) { return row.event.payload_is_elsewhere(); });
}

std::vector<relay::Aggregate> DeadEvents::published(std::span<const feed::RowId> ids) {
  const auto result = connection_->run(statements::kDeadSent, Params().add_array(ids));
  std::set<std::pair<std::string_view, std::string_view>> once;
  for (int i = 0; i < result.rows(); ++i) once.emplace(result.text(i, 1), result.text(i, 2));
  std::vector<relay::Aggregate> aggregates;
  for (const auto& [type, id] : once) aggregates.push_back({std::string(type), std::string(id)});
  return aggregates;
}

void DeadEvents::refused(std::span<const relay::Refused> events) {
  std::vector<std::int64_t> ids, attempts;
  std::vector<std::string> reasons, errors, targets;
  for (const auto& event : events) {
    ids.push_back(event.id);
    attempts.push_back(event.attempts);
    reasons.emplace_back(event.reason);
    errors.push_back(event.error);
    targets.push_back(event.target);
  }
  connection_->run(
      statements::kDeadFailed,
      Params().add_array(ids).add_array(attempts).add_array(reasons).add_array(errors).add_array(
          targets));
}

std::vector<relay::Aggregate> DeadEvents::release_followers(
    std::span<const relay::Aggregate> aggregates) {
  connection_->run(statements::kDeadRelease, AggregateColumns(aggregates).params());
  std::set<std::pair<std::string, std::string>> still;
  for (auto& [aggregate, first] : blocked_among(aggregates))
    still.emplace(aggregate.type, aggregate.id);
  std::vector<relay::Aggregate> free;
  for (const auto& aggregate : aggregates) {
    if (!still.contains({aggregate.type, aggregate.id})) free.push_back(aggregate);
  }
  return free;
}

std::vector<relay::SkippedEvent> DeadEvents::skipped(std::span<const feed::Slice> shards,
                                                     std::optional<core::WallTime> since) {
  const auto result = connection_->run(
      statements::kDeadSkipped,
      Params().add_array(shards).add(since ? since->time_since_epoch().count() : std::int64_t{0}));
  std::vector<relay::SkippedEvent> events;
  for (int i = 0; i < result.rows(); ++i) {
    events.push_back(
        {result.int8(i, 0), {result.string(i, 2), result.string(i, 3)}, result.time(i, 4)});
  }
  return events;
}

std::vector<std::string> DeadEvents::missing_topics(std::span<const feed::Slice> shards) {
  const auto result = connection_->run(statements::kDeadMissingTopics, Params().add_array(shards));
  std::vector<std::string> topics;
  for (int i = 0; i < result.rows(); ++i) topics.push_back(result.string(i, 0));
  return topics;
}

void DeadEvents::retry_without_target(std::span<const feed::Slice> shards) {
  connection_->run(statements::kDeadRetryWithoutTarget, Params().add_array(shards));
}

std::int64_t DeadEvents::topic_appeared(const std::string& topic,
                                        std::span<const feed::Slice> shards) {
  std::int64_t released = 0;
  for (std::int64_t batch = kTopicBatch; batch == kTopicBatch; released += batch) {
    batch = connection_
                ->run(statements::kDeadTopicAppeared,
                      Params().add(topic).add_array(shards).add(kTopicBatch))
                .rows();
  }
  return released;
}

}  // namespace relevo::postgres
