#include "relevo/relay/sender.hpp"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "relevo/core/error.hpp"
#include "relevo/core/invariant.hpp"

namespace relevo::relay {
namespace {

// Large payloads are fetched for so many bytes of the rows ahead at a time.
constexpr std::int64_t kFetchBytes = 4 << 20;
// Acknowledged events behind one that is not (its partition has no leader) are remembered, up to so
// many times the number in flight; then reading waits for it.
constexpr std::size_t kOpenPerInFlight = 10;
// Leases are looked at again after so many rows.
constexpr std::size_t kRowsPerLeaseCheck = 256;

}  // namespace

std::optional<std::string_view> refusal(Send status) {
  switch (status) {
    case Send::kTooLarge: return reason::kTooLarge;
    case Send::kInvalidTopic: return reason::kInvalidTopic;
    case Send::kUnknownTopic: return reason::kUnknownTopic;
    case Send::kUnauthorized: return reason::kUnauthorized;
    case Send::kAccepted:
    case Send::kFull:
    case Send::kUnavailable:
    case Send::kProducerLost: return std::nullopt;
  }
  return std::nullopt;
}

std::optional<std::string_view> refusal(Outcome outcome) {
  switch (outcome) {
    case Outcome::kTooLarge: return reason::kTooLarge;
    case Outcome::kRejected: return reason::kRejected;
    case Outcome::kUnknownTopic: return reason::kUnknownTopic;
    case Outcome::kUnauthorized: return reason::kUnauthorized;
    case Outcome::kDelivered:
    case Outcome::kUnknown: return std::nullopt;
  }
  return std::nullopt;
}

Sender::Sender(Ports ports, CloudEvents format, std::size_t max_in_flight)
    : to_(ports), format_(std::move(format)), max_in_flight_(max_in_flight) {}

void Sender::begin(feed::Delivery<OutboxRows> delivery) {
  RELEVO_INVARIANT(idle(), "one delivery at a time");
  delivery_ = std::move(delivery);
  next_ = 0;
  read_for_.clear();
  for (const auto slice : delivery_->slices) {
    auto* shard = to_.shards.find(slice);
    if (!shard || shard->leaving) continue;
    shard->sent.mark(delivery_->before);
    read_for_.emplace_back(slice, shard->generation);
  }
  if (!delivery_->rows.rows.empty()) to_.metrics.batch_read(delivery_->rows.rows.size());
}

Sender::Progress Sender::send(PayloadSource& payloads, DeadEvents& dead) {
  const auto& rows = delivery_->rows.rows;
  const auto shards = open_shards();
  if (!to_.blocked.complete() && next_ == 0) learn_blocked(dead);
  auto progress = Progress::kDone;
  auto open = to_.shards.open();
  for (std::size_t checked = next_; next_ < rows.size(); ++next_) {
    if (next_ >= checked + kRowsPerLeaseCheck) {
      if (!to_.shards.lapsed().empty()) {
        progress = Progress::kFull;  // the caller looks after leases before it comes back
        break;
      }
      checked = next_;
    }
    const auto& row = rows[next_];
    auto* shard = row.shard < shards.size() ? shards[row.shard] : nullptr;
    if (!shard || to_.blocked.skips(row.id)) continue;
    const auto aggregate = BlockedAggregates::hash(row.aggregate_type, row.aggregate_id);
    if (to_.blocked.blocks(aggregate, row.id)) {
      park(*shard, shard->sent.push({row.id, aggregate, row.created_at}),
           {row.id, row.shard, reason::kQueuedBehind, {}, {}});
      continue;
    }
    if (to_.publisher.in_flight() >= max_in_flight_ || open >= kOpenPerInFlight * max_in_flight_) {
      progress = Progress::kFull;
      break;
    }
    const auto& record = format_.record(row, payload_of(next_, payloads));
    const AckTracker::Event event{row.id, aggregate, row.created_at};
    auto result = to_.publisher.send(record, to_.shards.ticket(*shard, shard->sent.next_number()));
    if (result.status == Send::kAccepted) {
      shard->sent.push(event);
      ++open;
      continue;
    }
    if (const auto why = refusal(result.status)) {
      to_.blocked.block(aggregate, row.id);
      park(*shard, shard->sent.push(event),
           {row.id, row.shard, *why, std::string(record.topic), std::move(result.error)});
      continue;
    }
    last_error_ = std::move(result.error);
    progress = result.status == Send::kFull          ? Progress::kFull
               : result.status == Send::kUnavailable ? Progress::kUnavailable
                                                     : Progress::kLost;
    break;
  }
  commit_parked(dead);
  if (next_ == rows.size()) {
    for (auto* shard : shards) {
      if (shard) shard->sent.mark(delivery_->after);
    }
    delivery_.reset();
    fetched_.clear();
  }
  return progress;
}

void Sender::learn_blocked(DeadEvents& dead) {
  std::vector<Aggregate> aggregates;
  std::unordered_set<std::uint64_t> once;
  for (const auto& row : delivery_->rows.rows) {
    if (!once.insert(BlockedAggregates::hash(row.aggregate_type, row.aggregate_id)).second)
      continue;
    aggregates.push_back({std::string(row.aggregate_type), std::string(row.aggregate_id)});
  }
  std::unordered_map<std::uint64_t, feed::RowId> first;
  for (const auto& [aggregate, id] : dead.blocked_among(aggregates)) {
    first[BlockedAggregates::hash(aggregate.type, aggregate.id)] = id;
  }
  to_.blocked.learn(std::move(first));
}

std::vector<Shard*> Sender::open_shards() {
  std::vector<Shard*> open;
  for (const auto& [slice, generation] : read_for_) {
    auto* shard = to_.shards.find(slice);
    if (!shard || shard->leaving || shard->generation != generation) continue;
    if (open.size() <= slice) open.resize(slice + 1U);
    open[slice] = shard;
  }
  return open;
}

std::optional<std::string_view> Sender::payload_of(std::size_t index, PayloadSource& payloads) {
  const auto& rows = delivery_->rows.rows;
  const auto& row = rows[index];
  if (!row.payload_is_elsewhere()) return row.payload;
  const auto find = [&] {
    return std::lower_bound(fetched_.begin(), fetched_.end(), row.id,
                            [](const auto& entry, feed::RowId id) { return entry.first < id; });
  };
  auto found = find();
  if (found == fetched_.end() || found->first != row.id) {
    std::vector<feed::RowId> ids;
    std::int64_t bytes = 0;
    for (auto ahead = index; ahead < rows.size(); ++ahead) {
      if (!rows[ahead].payload_is_elsewhere() || !to_.shards.find(rows[ahead].shard)) continue;
      bytes += *rows[ahead].payload_bytes;
      if (!ids.empty() && bytes > kFetchBytes) break;
      ids.push_back(rows[ahead].id);
    }
    fetched_ = payloads.payloads(ids);
    found = find();
  }
  if (found == fetched_.end() || found->first != row.id) {
    throw core::IntegrationError(
        core::ErrorKind::kConflict, "read payload",
        "outbox row " + std::to_string(row.id) +
            " vanished before it was published; rows must not be deleted by hand");
  }
  return found->second;
}

bool Sender::report(const Report& report) {
  auto* shard = to_.shards.of(report.ticket);
  if (!shard) return true;
  const auto number = Shards::number_of(report.ticket);
  const auto* event = shard->sent.find(number);
  if (!event) return true;
  if (report.outcome == Outcome::kDelivered) {
    latencies_.push_back(to_.clock.wall() - event->created_at);
    shard->sent.settle(number);
    return true;
  }
  const auto why = refusal(report.outcome);
  if (!why) return false;
  // Events of this aggregate behind it may have been refused with it: the first report counts, the
  // others queue.
  const bool first = !to_.blocked.blocks(event->aggregate, event->id);
  to_.blocked.block(event->aggregate, event->id);
  park(*shard, number,
       {event->id,
        shard->held.slice,
        first ? *why : reason::kQueuedBehind,
        {},
        to_.publisher.last_error()});
  return true;
}

void Sender::settle_reports(DeadEvents& dead) {
  if (!latencies_.empty()) {
    to_.metrics.published(latencies_);
    latencies_.clear();
  }
  commit_parked(dead);
}

void Sender::park(Shard& shard, std::uint64_t number, ToPark event) {
  parking_.emplace_back(to_.shards.ticket(shard, number), event.id);
  to_park_.push_back(std::move(event));
}

void Sender::commit_parked(DeadEvents& dead) {
  if (to_park_.empty()) return;
  auto parked = dead.park(to_park_, to_.shards.leases());
  std::sort(parked.begin(), parked.end());
  for (const auto& [ticket, id] : parking_) {
    auto* shard = to_.shards.of(ticket);
    if (!shard) continue;
    if (!std::binary_search(parked.begin(), parked.end(), id)) {
      // Not ours any more, or the row is gone: what the database says must be read again.
      throw core::IntegrationError(core::ErrorKind::kConflict, "park",
                                   "event " + std::to_string(id) + " of shard " +
                                       std::to_string(shard->held.slice) + " was not taken");
    }
    shard->sent.settle(Shards::number_of(ticket));
  }
  std::size_t queued = 0;
  for (const auto& event : to_park_) {
    if (event.reason == reason::kQueuedBehind) {
      ++queued;
      continue;
    }
    to_.metrics.publish_failed(event.reason, 1);
    to_.log.warn("event parked, its aggregate waits", {{"id", event.id},
                                                       {"shard", event.shard},
                                                       {"reason", event.reason},
                                                       {"topic", event.target},
                                                       {"error", event.error}});
  }
  if (queued > 0) to_.metrics.publish_failed(reason::kQueuedBehind, queued);
  to_park_.clear();
  parking_.clear();
}

void Sender::clear() {
  delivery_.reset();
  fetched_.clear();
  to_park_.clear();
  parking_.clear();
  latencies_.clear();
}

}  // namespace relevo::relay
