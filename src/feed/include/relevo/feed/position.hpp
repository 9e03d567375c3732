// How far a slice of a table has been worked off, and the lease on it.
#pragma once

#include <cstdint>

#include "relevo/feed/tick.hpp"

namespace relevo::feed {

using Slice = std::uint16_t;  // a shard of the outbox or a lane of the jobs
using RowId = std::int64_t;

inline constexpr RowId kWindowStart = -1;

// Where in a window a reader stands. The outbox is read in the order of ids, the jobs in the order
// of transaction and id.
template <class At>
inline constexpr At kStart{};
template <>
inline constexpr RowId kStart<RowId> = kWindowStart;

// Window (a, b]: rows visible in tick b and not in tick a; done up to last_id inside it.
// a == b: everything visible in that tick is done.
template <class At>
struct BasicPosition {
  TickId a = 0;
  TickId b = 0;
  At last_id = kStart<At>;
  std::int64_t fingerprint = 0;  // of tick b

  friend bool operator==(const BasicPosition&, const BasicPosition&) = default;
};
using Position = BasicPosition<RowId>;

// A position as its row held it when it was taken or last written. Every write compares epoch and
// version and states the whole position, so that a write that arrives late changes nothing.
struct Held {
  Slice slice = 0;
  std::int64_t epoch = 0;
  std::int64_t version = 0;
  Position position;
};

}  // namespace relevo::feed
