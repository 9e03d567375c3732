// Port: events that cannot be published, and those of the same aggregate that queue behind them.
// Rows of this table count as done for a position, so each call has committed when it returns.
// Parking is fenced by the shard's epoch; what removes or changes rows is right whoever does it.
// Throws core::IntegrationError. Not thread-safe.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "relevo/feed/position_store.hpp"
#include "relevo/relay/outbox_rows.hpp"

namespace relevo::relay {

// Why an event is parked; the words of metrics, status and the table.
namespace reason {
inline constexpr std::string_view kTooLarge = "too_large";
inline constexpr std::string_view kInvalidTopic = "invalid_topic";
inline constexpr std::string_view kUnknownTopic = "unknown_topic";
inline constexpr std::string_view kUnauthorized = "unauthorized";
inline constexpr std::string_view kRejected = "rejected";
inline constexpr std::string_view kQueuedBehind = "queued_behind";
inline constexpr std::string_view kProducerLost =
    "producer_lost";  // metric only: sent again, never parked
}  // namespace reason

struct ToPark {
  feed::RowId id = 0;
  feed::Slice shard = 0;
  std::string_view reason;
  std::string target;  // topic it was to go to; empty: none
  std::string error;   // for a person, without payload
};

struct Aggregate {
  std::string type;
  std::string id;
};

struct BlockedAggregate {
  Aggregate aggregate;
  feed::RowId first_id = 0;  // events from here on queue
};

struct SkippedEvent {
  feed::RowId id = 0;
  Aggregate aggregate;
  core::WallTime changed_at;
};

struct RetryRow {
  OutboxRow event;
  bool queued_behind = false;  // was never refused itself
  std::int64_t attempts = 0;
};

struct RetryRows {
  std::vector<RetryRow> rows;  // ascending by id; payloads are read along
  std::shared_ptr<const void> memory;
};

struct Refused {
  feed::RowId id = 0;
  std::int64_t attempts = 0;  // before this one
  std::string_view reason;
  std::string error;
  std::string target;  // topic it was to go to; empty: as before
};

class DeadEvents {
 public:
  virtual ~DeadEvents() = default;

  // Aggregates with a dead event, at most so many.
  virtual std::vector<BlockedAggregate> blocked(std::span<const feed::Slice> shards,
                                                std::size_t most) = 0;
  // Those of them that are blocked.
  virtual std::vector<BlockedAggregate> blocked_among(std::span<const Aggregate> aggregates) = 0;

  // Copies events from the outbox. Returns the ids that stand in the table now, by this call or an
  // earlier one; a missing one means that its shard's lease is lost.
  virtual std::vector<feed::RowId> park(std::span<const ToPark> events,
                                        std::span<const feed::Lease> leases) = 0;

  // Released events whose turn it is, oldest first, bounded by count and bytes.
  virtual RetryRows retryable(std::span<const feed::Slice> shards) = 0;
  // Removes published ones; returns their aggregates.
  virtual std::vector<Aggregate> published(std::span<const feed::RowId> ids) = 0;
  virtual void refused(std::span<const Refused> events) = 0;
  // Releases what only queued behind an event that is gone. Returns the aggregates that have none
  // left.
  virtual std::vector<Aggregate> release_followers(std::span<const Aggregate> aggregates) = 0;

  // Events a person chose not to publish since then; without a time, the latest ones.
  virtual std::vector<SkippedEvent> skipped(std::span<const feed::Slice> shards,
                                            std::optional<core::WallTime> since) = 0;

  // Topics that parked events wait for.
  virtual std::vector<std::string> missing_topics(std::span<const feed::Slice> shards) = 0;
  // Releases what lacks a topic without saying which, so that it is offered again.
  virtual void retry_without_target(std::span<const feed::Slice> shards) = 0;
  // Releases what waited for this topic; returns how many events.
  virtual std::int64_t topic_appeared(const std::string& topic,
                                      std::span<const feed::Slice> shards) = 0;
};

}  // namespace relevo::relay
