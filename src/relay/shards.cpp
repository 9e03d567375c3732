#include "relevo/relay/shards.hpp"

#include <algorithm>

#include "relevo/feed/fair_share.hpp"

namespace relevo::relay {
namespace {

// Ticket: slice (10 bits), generation (14 bits), number (40 bits). Slice 1023 is the redrive's.
constexpr int kNumberBits = 40;
constexpr int kGenerationBits = 14;
constexpr std::uint64_t kNumberMask = (1ULL << kNumberBits) - 1;
constexpr std::uint64_t kGenerationMask = (1ULL << kGenerationBits) - 1;

}  // namespace

Shard* Shards::find(feed::Slice slice) {
  const auto found = held_.find(slice);
  return found == held_.end() ? nullptr : found->second.get();
}

std::vector<feed::Slice> Shards::slices() const {
  std::vector<feed::Slice> all;
  for (const auto& [slice, shard] : held_) all.push_back(slice);
  return all;
}

std::vector<feed::Lease> Shards::leases() const {
  std::vector<feed::Lease> all;
  for (const auto& [slice, shard] : held_) all.push_back({slice, shard->held.epoch});
  return all;
}

std::size_t Shards::open() const {
  std::size_t sum = 0;
  for (const auto& [slice, shard] : held_) sum += shard->sent.open();
  return sum;
}

Ticket Shards::ticket(const Shard& shard, std::uint64_t number) const {
  return (std::uint64_t{shard.held.slice} << (kNumberBits + kGenerationBits)) |
         ((shard.generation & kGenerationMask) << kNumberBits) | (number & kNumberMask);
}

Shard* Shards::of(Ticket ticket) {
  auto* shard = find(static_cast<feed::Slice>(ticket >> (kNumberBits + kGenerationBits)));
  const auto generation = (ticket >> kNumberBits) & kGenerationMask;
  return shard && (shard->generation & kGenerationMask) == generation ? shard : nullptr;
}

std::uint64_t Shards::number_of(Ticket ticket) { return ticket & kNumberMask; }

bool Shards::balance(feed::PositionStore& store, OutboxReader& reader, int shards) {
  const auto alive = leases_.alive();
  const auto share = static_cast<std::size_t>(feed::fair_share(alive, leases_.holder(), shards));
  std::size_t staying = 0;
  for (const auto& [slice, shard] : held_) staying += shard->leaving ? 0 : 1;
  for (auto shard = held_.rbegin(); shard != held_.rend() && staying > share; ++shard) {
    if (shard->second->leaving) continue;
    shard->second->leaving = true;
    reader.remove(shard->first);
    --staying;
  }
  const auto before = held_.size();
  hand_back(store, reader);
  bool changed = held_.size() != before;
  if (held_.size() < share) {
    const auto asked = clock_.now();
    const auto taken =
        store.take(leases_.holder(), leases_.ttl(), static_cast<int>(share - held_.size()));
    leases_.hold(taken, asked);
    // All of them are ours before the first is read: an error there must not leave a lease behind
    // that is renewed and never worked.
    for (const auto& held : taken) enter(held);
    for (const auto& held : taken) {
      auto& shard = *find(held.slice);
      const auto done = recall(held);
      // A primary that was promoted without our last ticks knows only what its row says.
      if (done && reader.add(held.slice, *done)) {
        shard.sent = AckTracker(*done);
      } else {
        read(shard, reader);
      }
    }
    changed |= !taken.empty();
  }
  if (changed) log_.info("shards held", {{"shards", held_.size()}, {"replicas", alive.size()}});
  return changed;
}

void Shards::enter(const feed::Held& held) {
  auto shard = std::make_unique<Shard>(held);
  shard->generation = ++generations_;
  held_[held.slice] = std::move(shard);
}

void Shards::read(const Shard& shard, OutboxReader& reader) {
  const auto& held = shard.held;
  if (!reader.add(held.slice, held.position)) {
    // Neither reading on nor starting afresh would be right: a person must decide (rebase).
    log_.error("position names a tick that this database does not know; shard stands still",
               {{"shard", held.slice}, {"tick", held.position.b}});
  }
}

void Shards::hand_back(feed::PositionStore& store, OutboxReader& reader) {
  std::vector<feed::Lease> ready;
  for (const auto& [slice, shard] : held_) {
    if (shard->leaving && shard->sent.open() == 0) ready.push_back({slice, shard->held.epoch});
  }
  if (ready.empty()) return;
  save(store, reader);
  store.release(leases_.holder(), ready);
  for (const auto& lease : ready) drop(lease.slice, nullptr);
}

void Shards::save(feed::PositionStore& store, OutboxReader& reader) {
  std::vector<feed::Held> moved;
  for (const auto& [slice, shard] : held_) {
    if (shard->sent.position() == shard->held.position) continue;
    auto held = shard->held;
    held.position = shard->sent.position();
    moved.push_back(held);
  }
  if (moved.empty()) return;
  const auto saved = store.save(moved);
  std::vector<feed::Held> refused;
  for (auto& held : moved) {
    if (std::find(saved.begin(), saved.end(), held.slice) == saved.end()) {
      refused.push_back(held);
      continue;
    }
    ++held.version;
    find(held.slice)->held = held;
  }
  if (refused.empty()) return;
  const auto rows = store.read();
  for (auto held : refused) {
    ++held.version;
    const auto row = std::find_if(rows.begin(), rows.end(),
                                  [&](const auto& r) { return r.held.slice == held.slice; });
    const bool in_doubt_had_succeeded =
        row != rows.end() && row->holder == leases_.holder() && row->held.epoch == held.epoch &&
        row->held.version == held.version && row->held.position == held.position;
    if (in_doubt_had_succeeded) {
      find(held.slice)->held = held;
    } else {
      log_.warn("lease lost: position was changed by another replica", {{"shard", held.slice}});
      metrics_.lease_lost(1);
      drop(held.slice, &reader);
      remembered_.erase(held.slice);
    }
  }
}

std::vector<feed::Slice> Shards::lapsed() const {
  std::vector<feed::Slice> slices;
  const auto now = clock_.now();
  for (const auto& [slice, shard] : held_) {
    if (leases_.trusted_until(slice) <= now) slices.push_back(slice);
  }
  return slices;
}

void Shards::drop(feed::Slice slice, OutboxReader* reader) {
  const auto found = held_.find(slice);
  if (found == held_.end()) return;
  remember(*found->second);
  if (reader) reader->remove(slice);
  leases_.drop(slice);
  held_.erase(found);
}

void Shards::resume(feed::PositionStore& store, OutboxReader& reader) {
  const auto rows = store.read();
  for (const auto slice : slices()) {
    const auto& shard = *find(slice);
    const auto row = std::find_if(rows.begin(), rows.end(),
                                  [&](const auto& r) { return r.held.slice == slice; });
    const bool mine = row != rows.end() && row->holder == leases_.holder() && !row->expired &&
                      row->held.epoch == shard.held.epoch;
    if (!mine || shard.leaving) {
      drop(slice, nullptr);
      continue;
    }
    enter(row->held);
    read(*find(slice), reader);
  }
}

void Shards::release_all(feed::PositionStore& store) {
  store.release(leases_.holder(), leases());
  for (const auto slice : slices()) drop(slice, nullptr);
}

void Shards::remember(const Shard& shard) {
  auto held = shard.held;
  held.position = shard.sent.position();
  remembered_[held.slice] = held;
}

std::optional<feed::Position> Shards::recall(const feed::Held& taken) const {
  const auto mine = remembered_.find(taken.slice);
  if (mine == remembered_.end()) return std::nullopt;
  const bool untouched =
      taken.epoch == mine->second.epoch + 1 && taken.version == mine->second.version + 1;
  if (!untouched) return std::nullopt;
  return mine->second.position;
}

}  // namespace relevo::relay
