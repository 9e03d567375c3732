// The aggregates of the held shards that have a dead event, so that their later events queue behind
// it, and the events a person chose to skip. A mirror of relevo.dead_event for the shards held;
// aggregates are kept as 64-bit hashes (two that collide would queue behind each other, nothing
// worse). Bounded: beyond kMost aggregates it is no longer complete, and the table must be asked
// about those of each delivery (learn). Not thread-safe.
#pragma once

#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "relevo/feed/position.hpp"

namespace relevo::relay {

class BlockedAggregates {
 public:
  static std::uint64_t hash(std::string_view aggregate_type, std::string_view aggregate_id);

  static constexpr std::size_t kMost = 100'000;

  void block(std::uint64_t aggregate, feed::RowId from);
  void release(std::uint64_t aggregate);
  bool complete() const { return complete_; }
  // What the table says about the aggregates of the delivery at hand; replaces what was learnt
  // before.
  void learn(std::unordered_map<std::uint64_t, feed::RowId> first) { learnt_ = std::move(first); }
  void skip(feed::RowId id) { skipped_.insert(id); }
  void clear();

  // An event with a lower id than the dead one was published before it.
  bool blocks(std::uint64_t aggregate, feed::RowId id) const {
    return blocks_in(first_, aggregate, id) || blocks_in(learnt_, aggregate, id);
  }
  bool skips(feed::RowId id) const { return !skipped_.empty() && skipped_.contains(id); }
  bool any() const { return !first_.empty() || !complete_; }

 private:
  using FirstIds = std::unordered_map<std::uint64_t, feed::RowId>;

  static bool blocks_in(const FirstIds& first, std::uint64_t aggregate, feed::RowId id) {
    if (first.empty()) return false;
    const auto found = first.find(aggregate);
    return found != first.end() && id >= found->second;
  }

  FirstIds first_;
  FirstIds learnt_;
  bool complete_ = true;
  std::unordered_set<feed::RowId> skipped_;
};

}  // namespace relevo::relay
