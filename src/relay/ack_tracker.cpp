#include "relevo/relay/ack_tracker.hpp"

#include "relevo/core/invariant.hpp"

namespace relevo::relay {

std::uint64_t AckTracker::push(const Event& event) {
  entries_.push_back({event});
  return first_ + entries_.size() - 1;
}

void AckTracker::mark(const feed::Position& position) {
  const auto reached_at = first_ + entries_.size();
  if (!marks_.empty() && marks_.back().first == reached_at) {
    marks_.back().second = position;
  } else {
    marks_.emplace_back(reached_at, position);
  }
  advance();
}

const AckTracker::Event* AckTracker::find(std::uint64_t number) const {
  if (number < first_ || number - first_ >= entries_.size()) return nullptr;
  const auto& entry = entries_[number - first_];
  return entry.settled ? nullptr : &entry.event;
}

void AckTracker::settle(std::uint64_t number) {
  RELEVO_INVARIANT(number - first_ < entries_.size(), "only events on their way are settled");
  entries_[number - first_].settled = true;
  advance();
}

void AckTracker::advance() {
  const auto reach_marks = [this] {
    while (!marks_.empty() && marks_.front().first <= first_) {
      position_ = marks_.front().second;
      marks_.pop_front();
    }
  };
  reach_marks();
  while (!entries_.empty() && entries_.front().settled) {
    RELEVO_INVARIANT(position_.a != position_.b, "events lie inside an open window");
    position_.last_id = entries_.front().event.id;
    entries_.pop_front();
    ++first_;
    reach_marks();
  }
}

}  // namespace relevo::relay
