// A tick: a snapshot that was committed in PostgreSQL under a number. Positions name ticks, never
// snapshots: only a durable one may be compared with rows after a crash (docs/guarantees.md).
#pragma once

#include <cstdint>
#include <memory>

#include "relevo/feed/snapshot.hpp"

namespace relevo::feed {

using TickId = std::int64_t;

struct Tick {
  TickId id = 0;
  std::int64_t fingerprint =
      0;  // random; tells this tick from one of the same number in another history
  Snapshot snapshot;
};

using TickPtr = std::shared_ptr<const Tick>;  // shared by the ticker and the windows that end in it

}  // namespace relevo::feed
