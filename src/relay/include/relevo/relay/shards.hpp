// The shards this replica holds: lease, what is on its way, and the position up to which all is
// done. Keeps reader, lease keeper and position rows in step. One thread (the relay's).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "relevo/core/log.hpp"
#include "relevo/feed/lease_keeper.hpp"
#include "relevo/feed/window_reader.hpp"
#include "relevo/relay/ack_tracker.hpp"
#include "relevo/relay/metrics.hpp"
#include "relevo/relay/outbox_rows.hpp"
#include "relevo/relay/publisher.hpp"

namespace relevo::relay {

using OutboxReader = feed::WindowReader<OutboxRows>;

struct Shard {
  explicit Shard(feed::Held h) : held(h), sent(h.position) {}

  feed::Held held;  // as its row stands
  AckTracker sent;
  bool leaving = false;          // to be handed back once nothing of it is on its way
  std::uint64_t generation = 0;  // tells tickets of this tenure from those of earlier ones
};

class Shards {
 public:
  Shards(feed::LeaseKeeper& leases, Metrics& metrics, core::Log& log, const core::Clock& clock)
      : leases_(leases), metrics_(metrics), log_(log), clock_(clock) {}

  // nullptr: not held.
  Shard* find(feed::Slice slice);
  std::size_t size() const { return held_.size(); }
  std::vector<feed::Slice> slices() const;
  std::vector<feed::Lease> leases() const;
  std::size_t open() const;  // events on their way

  Ticket ticket(const Shard& shard, std::uint64_t number) const;
  // nullptr: of a shard, or of a tenure of it, that is over.
  Shard* of(Ticket ticket);
  static std::uint64_t number_of(Ticket ticket);

  // Takes free shards, hands surplus ones back, so that all replicas hold their fair share.
  // Returns whether the set of shards changed.
  bool balance(feed::PositionStore& store, OutboxReader& reader, int shards);

  // Saves positions that moved. Shards whose row was changed by somebody else are dropped.
  void save(feed::PositionStore& store, OutboxReader& reader);

  // Slices whose lease can no longer be trusted.
  std::vector<feed::Slice> lapsed() const;
  void drop(feed::Slice slice, OutboxReader* reader);

  // Forgets what is on its way and reads every shard again from its row: after a connection or a
  // producer was lost. The reader must be cleared.
  void resume(feed::PositionStore& store, OutboxReader& reader);

  // Hands everything back. What is still on its way may be published again by the next holder.
  void release_all(feed::PositionStore& store);

 private:
  void enter(const feed::Held& held);
  void read(const Shard& shard, OutboxReader& reader);
  void hand_back(feed::PositionStore& store, OutboxReader& reader);
  void remember(const Shard& shard);
  // What was done beyond the row; nullopt: nothing, or somebody held the shard since.
  std::optional<feed::Position> recall(const feed::Held& taken) const;

  feed::LeaseKeeper& leases_;
  Metrics& metrics_;
  core::Log& log_;
  const core::Clock& clock_;
  std::map<feed::Slice, std::unique_ptr<Shard>> held_;
  // What was done when a shard was dropped without its row being written. If nobody held it in
  // between, the next tenure goes on from there instead of publishing again.
  std::map<feed::Slice, feed::Held> remembered_;
  std::uint64_t generations_ = 0;
};

}  // namespace relevo::relay
