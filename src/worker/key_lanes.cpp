#include "relevo/worker/key_lanes.hpp"

#include <algorithm>
#include <utility>

#include "relevo/core/invariant.hpp"

namespace relevo::worker {

void KeyLanes::open(const TopicPartition& partition) {
  if (open_.contains(partition)) return;
  progress_.emplace_front().partition = partition;
  open_.emplace(partition, progress_.begin());
}

KeyLanes::Lane& KeyLanes::lane_of(const std::optional<std::string_view>& key) {
  // Apart by the first character: no key can be taken for a number.
  auto name = key ? "k" + std::string(*key) : "n" + std::to_string(arrivals_);
  auto [place, added] = lanes_.try_emplace(std::move(name));
  if (added) place->second.name = place->first;
  return place->second;
}

bool KeyLanes::accepts(const TopicPartition& partition, std::int64_t offset) const {
  const auto found = open_.find(partition);
  return found != open_.end() && found->second->accepting && offset > found->second->newest;
}

KeyLanes::Ticket KeyLanes::add(const TopicPartition& partition, std::int64_t offset,
                               const std::optional<std::string_view>& key, std::size_t bytes) {
  RELEVO_INVARIANT(accepts(partition, offset), "a new message of an open partition");
  const auto found = open_.find(partition);
  auto& progress = *found->second;
  progress.newest = offset;
  auto ticket = static_cast<Ticket>(nodes_.size());
  if (free_.empty()) {
    nodes_.emplace_back();
  } else {
    ticket = free_.back();
    free_.pop_back();
  }
  auto& lane = lane_of(key);
  nodes_[ticket] = {
      found->second, progress.first + progress.entries.size(), arrivals_++, &lane, kNone, bytes,
      false};
  progress.entries.push_back({offset, false});
  if (lane.first == kNone) {
    lane.first = ticket;
  } else {
    nodes_[lane.last].next = ticket;
  }
  lane.last = ticket;
  ++held_;
  bytes_ += bytes;
  put_in_place(lane);
  return ticket;
}

// A lane with messages and none at work is in exactly one of ready_ and timed_.
void KeyLanes::put_in_place(Lane& lane) {
  if (lane.place != Lane::Place::kNowhere || lane.at_work > 0 || lane.first == kNone) return;
  if (lane.not_before == core::BootTime{}) {
    lane.place = Lane::Place::kReady;
    lane.ready = ready_.insert(ready_.end(), &lane);
  } else {
    lane.place = Lane::Place::kTimed;
    lane.timer = timed_.emplace(lane.not_before, &lane);
  }
}

void KeyLanes::take_out_of_place(Lane& lane) {
  if (lane.place == Lane::Place::kReady) ready_.erase(lane.ready);
  if (lane.place == Lane::Place::kTimed) timed_.erase(lane.timer);
  lane.place = Lane::Place::kNowhere;
}

void KeyLanes::wake(core::BootTime now) {
  while (!timed_.empty() && timed_.begin()->first <= now) {
    auto& lane = *timed_.begin()->second;
    take_out_of_place(lane);
    lane.not_before = {};
    put_in_place(lane);
  }
}

std::size_t KeyLanes::due(core::BootTime now) {
  wake(now);
  return ready_.size();
}

std::optional<core::BootTime> KeyLanes::next_due() const {
  if (timed_.empty()) return std::nullopt;
  return timed_.begin()->first;
}

std::vector<KeyLanes::Ticket> KeyLanes::take(core::BootTime now, std::size_t most,
                                             std::size_t per_key) {
  wake(now);
  std::vector<Ticket> taken;
  for (auto next = ready_.begin(); next != ready_.end() && taken.size() < most;) {
    auto& lane = **next++;
    const bool suspect = nodes_[lane.first].suspect;
    if (suspect && !taken.empty()) continue;  // it keeps its turn: the next call begins with it
    take_out_of_place(lane);
    const auto end = std::min(most - taken.size(), suspect ? 1 : per_key);
    for (std::size_t i = 0; i < end && lane.first != kNone; ++i) {
      const auto ticket = lane.first;
      auto& node = nodes_[ticket];
      if (i > 0 && node.suspect) break;
      lane.first = std::exchange(node.next, kNone);
      if (lane.first == kNone) lane.last = kNone;
      ++lane.at_work;
      ++node.progress->at_work;
      ++at_work_;
      taken.push_back(ticket);
    }
    if (suspect) break;
  }
  return taken;
}

void KeyLanes::leave_work(Ticket ticket) {
  auto& node = nodes_[ticket];
  RELEVO_INVARIANT(node.lane->at_work > 0, "a message that ends was at work");
  --node.lane->at_work;
  --node.progress->at_work;
  --at_work_;
}

// Frees the ticket, which stands in no lane any more.
void KeyLanes::release(Ticket ticket) {
  auto& node = nodes_[ticket];
  --held_;
  bytes_ -= node.bytes;
  if (!node.progress->open && node.progress->at_work == 0) progress_.erase(node.progress);
  auto& lane = *node.lane;
  node.lane = nullptr;
  free_.push_back(ticket);
  put_in_place(lane);
  remove_if_idle(lane);
}

void KeyLanes::remove_if_idle(Lane& lane) {
  if (lane.first != kNone || lane.at_work > 0) return;
  take_out_of_place(lane);
  lanes_.erase(std::string(lane.name));
}

void KeyLanes::finish(Ticket ticket) {
  leave_work(ticket);
  auto& progress = *nodes_[ticket].progress;
  if (progress.open) {
    progress.entries[nodes_[ticket].entry - progress.first].done = true;
    while (!progress.entries.empty() && progress.entries.front().done) {
      progress.next = progress.entries.front().offset + 1;
      progress.entries.pop_front();
      ++progress.first;
    }
  }
  release(ticket);
}

bool KeyLanes::put_back(Ticket ticket, core::BootTime due, bool suspect) {
  leave_work(ticket);
  auto& node = nodes_[ticket];
  if (!node.progress->accepting) {
    release(ticket);
    return false;
  }
  node.suspect = suspect;
  auto& lane = *node.lane;
  // Several may come back, in whatever order: each to its place by arrival.
  Ticket before = kNone;
  for (auto at = lane.first; at != kNone && nodes_[at].arrival < node.arrival;
       at = nodes_[at].next) {
    before = at;
  }
  Ticket& link = before == kNone ? lane.first : nodes_[before].next;
  node.next = link;
  link = ticket;
  if (node.next == kNone) lane.last = ticket;
  lane.not_before = std::max(lane.not_before, due);
  put_in_place(lane);
  return true;
}

std::optional<std::int64_t> KeyLanes::advanced(const TopicPartition& partition) {
  const auto found = open_.find(partition);
  if (found == open_.end()) return std::nullopt;
  return std::exchange(found->second->next, std::nullopt);
}

std::vector<TopicPartition> KeyLanes::partitions() const {
  std::vector<TopicPartition> all;
  for (const auto& [partition, progress] : open_) all.push_back(partition);
  return all;
}

std::vector<KeyLanes::Ticket> KeyLanes::revoke(const TopicPartition& partition) {
  std::vector<Ticket> dropped;
  const auto found = open_.find(partition);
  if (found == open_.end()) return dropped;
  const auto progress = found->second;
  progress->accepting = false;
  for (auto next = lanes_.begin(); next != lanes_.end();) {
    auto& lane = (next++)->second;
    Ticket before = kNone;
    std::vector<Ticket> of_lane;
    for (auto at = lane.first; at != kNone;) {
      const auto following = nodes_[at].next;
      if (nodes_[at].progress == progress) {
        (before == kNone ? lane.first : nodes_[before].next) = following;
        if (following == kNone) lane.last = before;
        of_lane.push_back(at);
      } else {
        before = at;
      }
      at = following;
    }
    if (of_lane.empty()) continue;
    if (lane.first == kNone) take_out_of_place(lane);
    for (const auto ticket : of_lane) {
      --held_;
      bytes_ -= nodes_[ticket].bytes;
      nodes_[ticket].lane = nullptr;
      free_.push_back(ticket);
      dropped.push_back(ticket);
    }
    remove_if_idle(lane);
  }
  return dropped;
}

void KeyLanes::drop(const TopicPartition& partition) {
  const auto found = open_.find(partition);
  if (found == open_.end()) return;
  RELEVO_INVARIANT(!found->second->accepting, "a partition is revoked before it is dropped");
  const auto progress = found->second;
  progress->open = false;
  open_.erase(found);
  if (progress->at_work == 0) progress_.erase(progress);
}

std::size_t KeyLanes::at_work(const TopicPartition& partition) const {
  std::size_t count = 0;
  for (const auto& progress : progress_) {
    if (progress.partition == partition) count += progress.at_work;
  }
  return count;
}

}  // namespace relevo::worker
