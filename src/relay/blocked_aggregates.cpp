#include "relevo/relay/blocked_aggregates.hpp"

#include <functional>

namespace relevo::relay {

std::uint64_t BlockedAggregates::hash(std::string_view aggregate_type,
                                      std::string_view aggregate_id) {
  const std::hash<std::string_view> text;
  const std::uint64_t type = text(aggregate_type);
  return text(aggregate_id) ^ (type * 0x9e3779b97f4a7c15ULL + (type << 6) + (type >> 2));
}

void BlockedAggregates::block(std::uint64_t aggregate, feed::RowId from) {
  const bool full = first_.size() >= kMost && !first_.contains(aggregate);
  complete_ &= !full;
  const auto [known, fresh] = (full ? learnt_ : first_).try_emplace(aggregate, from);
  if (!fresh && from < known->second) known->second = from;
}

void BlockedAggregates::release(std::uint64_t aggregate) {
  first_.erase(aggregate);
  learnt_.erase(aggregate);
}

void BlockedAggregates::clear() {
  first_.clear();
  learnt_.clear();
  complete_ = true;
  skipped_.clear();
}

}  // namespace relevo::relay
