// The aggregates of the held shards that have a dead event, so that their later events queue behind it,
// and the events a person chose to skip. A mirror of relevo.dead_event for the shards held; aggregates
// are kept as 64-bit hashes (two that collide would queue behind each other, nothing worse).
// Not thread-safe.
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

  void block(std::uint64_t aggregate, feed::RowId from);
  void release(std::uint64_t aggregate) { first_.erase(aggregate); }
  void skip(feed::RowId id) { skipped_.insert(id); }
  void clear();

  // An event with a lower id than the dead one was published before it.
  bool blocks(std::uint64_t aggregate, feed::RowId id) const {
    if (first_.empty()) return false;
    const auto found = first_.find(aggregate);
    return found != first_.end() && id >= found->second;
  }
  bool skips(feed::RowId id) const { return !skipped_.empty() && skipped_.contains(id); }
  bool any() const { return !first_.empty(); }

 private:
  std::unordered_map<std::uint64_t, feed::RowId> first_;
  std::unordered_set<feed::RowId> skipped_;
};

}  // namespace relevo::relay
