// Which events of one shard are on their way, and the position up to which all of them are settled
// (acknowledged by the broker, or parked in a committed row). Positions pass nothing else.
// Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <utility>

#include "relevo/core/clock.hpp"
#include "relevo/feed/position.hpp"

namespace relevo::relay {

class AckTracker {
 public:
  struct Event {
    feed::RowId id = 0;
    std::uint64_t aggregate = 0;  // hash, see BlockedAggregates
    core::WallTime created_at;
  };

  explicit AckTracker(const feed::Position& start) : position_(start) {}

  // Events in the order in which they go out; the number names the event from now on.
  std::uint64_t next_number() const { return first_ + entries_.size(); }
  std::uint64_t push(const Event& event);
  // Everything pushed so far lies before this position.
  void mark(const feed::Position& position);

  // nullptr: settled already.
  const Event* find(std::uint64_t number) const;
  void settle(std::uint64_t number);

  const feed::Position& position() const { return position_; }
  std::size_t open() const { return entries_.size(); }  // pushed and behind the first unsettled one

 private:
  struct Entry {
    Event event;
    bool settled = false;
  };

  void advance();

  feed::Position position_;
  std::deque<Entry> entries_;
  std::uint64_t first_ = 0;                                     // number of entries_.front()
  std::deque<std::pair<std::uint64_t, feed::Position>> marks_;  // reached when first_ gets there
};

}  // namespace relevo::relay
