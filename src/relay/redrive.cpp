#include "relevo/relay/redrive.hpp"

#include <unordered_set>
#include <utility>

namespace relevo::relay {
namespace {

using namespace std::chrono_literals;

constexpr auto kLookEvery = 500ms;
constexpr auto kTopicLookEvery = 2s;
constexpr auto kSkipOverlap = 30s;
constexpr auto kBlindRetryEvery = 60s;
constexpr auto kReloadEvery = 30s;
constexpr Ticket kTicketMark = 1023ULL << 54;  // no shard has this number

}  // namespace

bool Redrive::owns(Ticket ticket) { return (ticket & kTicketMark) == kTicketMark; }

void Redrive::load(DeadEvents& dead) {
  to_.blocked.clear();
  const auto shards = to_.shards.slices();
  next_reload_ = to_.clock.now() + kReloadEvery;
  // One more than fits tells that there are more.
  for (const auto& [aggregate, first_id] : dead.blocked(shards, BlockedAggregates::kMost + 1)) {
    to_.blocked.block(BlockedAggregates::hash(aggregate.type, aggregate.id), first_id);
  }
  skips_seen_.reset();
  (void)new_skips(dead);  // what they held up is released already, or found so by blocked()
}

void Redrive::work(DeadEvents& dead) {
  if (!busy()) settle(dead);
  const auto now = to_.clock.now();
  if (busy() || now < next_look_) return;
  next_look_ = now + kLookEvery;
  // The table has the last word: a former holder of a shard may have removed a row since.
  if (to_.blocked.any() && now >= next_reload_) load(dead);
  if (const auto aggregates = new_skips(dead); !aggregates.empty()) let_flow(dead, aggregates);
  if (to_.blocked.any() && now >= next_topic_look_) {
    next_topic_look_ = now + kTopicLookEvery;
    look_for_topics(dead);
  }
  send_released(dead);
}

std::vector<Aggregate> Redrive::new_skips(DeadEvents& dead) {
  std::vector<Aggregate> aggregates;
  for (auto& event : dead.skipped(to_.shards.slices(), skips_seen_)) {
    // changed_at is set before the commit: the next look overlaps this one.
    const auto again_from = event.changed_at - kSkipOverlap;
    if (!skips_seen_ || again_from > *skips_seen_) skips_seen_ = again_from;
    if (to_.blocked.skips(event.id)) continue;
    to_.blocked.skip(event.id);
    aggregates.push_back(std::move(event.aggregate));
  }
  return aggregates;
}

void Redrive::look_for_topics(DeadEvents& dead) {
  const auto shards = to_.shards.slices();
  if (const auto now = to_.clock.now(); now >= next_blind_retry_) {
    next_blind_retry_ = now + kBlindRetryEvery;
    dead.retry_without_target(shards);
  }
  for (const auto& topic : dead.missing_topics(shards)) {
    const auto status = to_.publisher.probe_topic(topic).status;
    if (status == Send::kUnavailable) return;
    if (status != Send::kAccepted) continue;
    const auto events = dead.topic_appeared(topic, shards);
    to_.log.info("topic appeared, its events go on", {{"topic", topic}, {"events", events}});
  }
}

void Redrive::send_released(DeadEvents& dead) {
  const auto released = dead.retryable(to_.shards.slices());
  // An event that was refused before goes alone: whatever follows it waits for its report.
  std::unordered_set<std::uint64_t> waiting;
  std::unordered_set<std::string> asked;
  for (const auto& [event, queued_behind, attempts] : released.rows) {
    const auto aggregate = BlockedAggregates::hash(event.aggregate_type, event.aggregate_id);
    if (waiting.contains(aggregate)) continue;
    if (!queued_behind) waiting.insert(aggregate);
    const auto number = ++tickets_ & ~kTicketMark;
    const auto& record = format_.record(event, event.payload);
    // Whoever released it may just have made the topic, or raised its limit.
    if (!queued_behind && asked.insert(std::string(record.topic)).second) {
      (void)to_.publisher.probe_topic(std::string(record.topic));
    }
    auto result = to_.publisher.send(record, kTicketMark | number);
    if (result.status == Send::kAccepted) {
      on_their_way_.emplace(number, OnItsWay{event.id, attempts, event.created_at});
      continue;
    }
    const auto why = refusal(result.status);
    if (!why) return;  // full, unreachable, lost: the row stays released, look again later
    waiting.insert(aggregate);
    refused_.push_back(
        {event.id, attempts, *why, std::move(result.error), std::string(record.topic)});
  }
}

bool Redrive::report(const Report& report) {
  const auto sent = on_their_way_.find(report.ticket & ~kTicketMark);
  if (sent == on_their_way_.end()) return true;
  const auto event = sent->second;
  on_their_way_.erase(sent);
  if (report.outcome == Outcome::kDelivered) {
    published_.push_back(event.id);
    const auto latency = to_.clock.wall() - event.created_at;
    to_.metrics.published(std::span(&latency, 1));
    return true;
  }
  const auto why = refusal(report.outcome);
  if (!why) return false;
  refused_.push_back({event.id, event.attempts, *why, to_.publisher.last_error(), {}});
  return true;
}

void Redrive::settle(DeadEvents& dead) {
  for (const auto& event : refused_) {
    to_.metrics.publish_failed(event.reason, 1);
    to_.log.warn("released event refused again",
                 {{"id", event.id}, {"reason", event.reason}, {"error", event.error}});
  }
  if (!refused_.empty()) dead.refused(std::exchange(refused_, {}));
  if (published_.empty()) return;
  const auto aggregates = dead.published(published_);
  to_.log.info("parked events published", {{"events", published_.size()}});
  published_.clear();
  let_flow(dead, aggregates);
  next_look_ = {};  // followers were released just now
}

void Redrive::let_flow(DeadEvents& dead, std::span<const Aggregate> aggregates) {
  for (const auto& [type, id] : dead.release_followers(aggregates)) {
    to_.blocked.release(BlockedAggregates::hash(type, id));
  }
}

void Redrive::clear() {
  on_their_way_.clear();
  published_.clear();
  refused_.clear();
}

}  // namespace relevo::relay
