#include "relevo/feed/lease_keeper.hpp"

#include <algorithm>
#include <utility>

#include "relevo/core/backoff.hpp"
#include "relevo/core/error.hpp"

namespace relevo::feed {

using std::chrono::milliseconds;

namespace {

constexpr milliseconds kLookEvery{250};
constexpr milliseconds kFirstLooks{25};  // apart, then twice that: replicas often start together

}  // namespace

LeaseKeeper::LeaseKeeper(std::string holder, milliseconds ttl, Connect connect, core::Log& log,
                         const core::Clock& clock)
    : holder_(std::move(holder)),
      ttl_(ttl),
      connect_(std::move(connect)),
      log_(log),
      clock_(clock),
      outage_("postgres (leases)", log, clock) {}

LeaseKeeper::~LeaseKeeper() { stop(); }

void LeaseKeeper::start() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = false;
  }
  heartbeat_.beat(clock_.now());
  thread_ = std::thread([this] { run(); });
}

void LeaseKeeper::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
  heartbeat_.rest();
}

void LeaseKeeper::hold(std::span<const Held> slices, core::BootTime taken) {
  std::lock_guard lock(mutex_);
  for (const auto& held : slices) entries_[held.slice] = {held.epoch, trust_from(taken)};
}

void LeaseKeeper::drop(Slice slice) {
  std::lock_guard lock(mutex_);
  entries_.erase(slice);
}

core::BootTime LeaseKeeper::trusted_until(Slice slice) const {
  std::lock_guard lock(mutex_);
  const auto entry = entries_.find(slice);
  return entry == entries_.end() ? core::BootTime{} : entry->second.until;
}

std::vector<std::string> LeaseKeeper::alive() const {
  std::lock_guard lock(mutex_);
  return alive_;
}

bool LeaseKeeper::connected() const {
  std::lock_guard lock(mutex_);
  return connected_;
}

// A quarter of the lease is kept back for what is already on its way when the lease lapses.
core::BootTime LeaseKeeper::trust_from(core::BootTime asked) const { return asked + ttl_ * 3 / 4; }

void LeaseKeeper::run() {
  core::Backoff backoff(milliseconds(50), std::min<milliseconds>(ttl_ / 6, milliseconds(1000)));
  std::unique_ptr<LeaseStore> store;
  core::BootTime next_renewal{};
  auto look_again = kFirstLooks;
  const auto pause = [this](milliseconds time) {
    std::unique_lock lock(mutex_);
    return !wake_.wait_for(lock, time, [this] { return stopping_; });
  };
  for (bool going = true; going;) {
    heartbeat_.beat(clock_.now());
    try {
      if (!store) store = connect_();
      if (clock_.now() >= next_renewal) {
        store->heartbeat(holder_, ttl_);
        renew(*store);
        next_renewal = clock_.now() + ttl_ / 5;
      }
      look(*store);
      outage_.recovered();
      backoff.reset();
      going = pause(std::min<milliseconds>(ttl_ / 5, look_again));
      look_again = std::min(look_again * 2, kLookEvery);
    } catch (const core::IntegrationError& error) {
      store.reset();
      next_renewal = {};
      outage_.failed(error.what());
      {
        std::lock_guard lock(mutex_);
        connected_ = false;
      }
      going = pause(backoff.next());
    }
  }
  try {
    if (store) store->leave(holder_);
  } catch (const core::IntegrationError& error) {
    log_.debug("could not say good-bye", {{"reason", error.what()}});
  }
}

void LeaseKeeper::look(LeaseStore& store) {
  auto alive = store.alive(ttl_);
  std::lock_guard lock(mutex_);
  alive_ = std::move(alive);
  connected_ = true;
}

void LeaseKeeper::renew(LeaseStore& store) {
  std::vector<Lease> leases;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [slice, entry] : entries_) leases.push_back({slice, entry.epoch});
  }
  if (leases.empty()) return;
  const auto asked = clock_.now();
  const auto renewed = store.renew(holder_, leases, ttl_);
  std::lock_guard lock(mutex_);
  for (const auto& lease : leases) {
    const auto entry = entries_.find(lease.slice);
    // Taken anew in the meantime: this answer is about the lease before.
    if (entry == entries_.end() || entry->second.epoch != lease.epoch) continue;
    const bool kept = std::find(renewed.begin(), renewed.end(), lease.slice) != renewed.end();
    entry->second.until = kept ? trust_from(asked) : core::BootTime{};
  }
}

}  // namespace relevo::feed
