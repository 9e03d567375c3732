#include "lane_share.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "relevo/feed/fair_share.hpp"

namespace relevo::worker {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

constexpr auto kBalanceEvery = 50ms;
constexpr milliseconds kTakeAgain{10};  // at first, while lanes of our share are somebody else's
constexpr milliseconds kTakeAgainAtMost{200};
constexpr auto kSettleAgain = 50ms;
constexpr auto kCrashBackoff = 1s;

std::vector<feed::Held> held(std::span<const LaneRow> rows) {
  std::vector<feed::Held> all;
  for (const auto& row : rows) all.push_back({row.lane, row.epoch, row.version, {}});
  return all;
}

}  // namespace

LaneShare::LaneShare(Options options, feed::LeaseKeeper& leases, HeldLanes& lanes,
                     Scheduler& scheduler, Claims& claims, Metrics& metrics, core::Log& log,
                     const core::Clock& clock)
    : options_(options),
      leases_(leases),
      lanes_(lanes),
      scheduler_(scheduler),
      claims_(claims),
      metrics_(metrics),
      log_(log),
      clock_(clock),
      take_again_(kTakeAgain) {}

void LaneShare::disconnected() {
  for (const auto& lease : lanes_.leases()) lost_epochs_[lease.slice] = lease.epoch;
}

void LaneShare::reconnected(Connected& connected) {
  std::vector<feed::Lease> known;
  for (const auto& [slice, epoch] : lost_epochs_) known.push_back({slice, epoch});
  const auto asked = clock_.now();
  const auto rows = known.empty()
                        ? std::vector<LaneRow>{}
                        : connected.session.lanes->retake(leases_.holder(), leases_.ttl(), known);
  leases_.hold(held(rows), asked);
  for (const auto& lease : known) {
    const bool ours = std::any_of(rows.begin(), rows.end(),
                                  [&](const LaneRow& row) { return row.lane == lease.slice; });
    if (!ours) drop(lease.slice, &connected.intake);
  }
  lost_epochs_.clear();
  // All of them before the first is read: an error there must not leave an old epoch behind.
  for (const auto& row : rows) {
    auto* lane = lanes_.find(row.lane);
    if (!lane) continue;
    lane->row.epoch = row.epoch;
    lane->row.version = row.version;
    lane->dirty = true;
  }
  for (auto& [slice, lane] : lanes_) {
    if (!lane.leaving) connected.intake.enter(lane);
  }
}

bool LaneShare::balance(Connected& connected) {
  const auto now = clock_.now();
  if (now < next_balance_) return false;
  next_balance_ = now + kBalanceEvery;
  const auto share =
      static_cast<std::size_t>(feed::fair_share(leases_.alive(), leases_.holder(), options_.lanes));
  mark_leaving(connected.intake, share);
  bool taken = false;
  if (lanes_.size() < share) {
    // Whoever has them may be about to hand them back; nobody works them until we look.
    taken = take(connected, share);
    take_again_ = taken ? kTakeAgain : std::min(take_again_ * 2, kTakeAgainAtMost);
    if (lanes_.size() < share) next_balance_ = now + take_again_;
  }
  metrics_.lanes_held(lanes_.size());
  return taken;
}

void LaneShare::mark_leaving(Intake& intake, std::size_t share) {
  std::size_t staying = lanes_.working().size();
  for (auto& [slice, lane] : lanes_) {
    if (staying <= share) break;
    if (lane.leaving) continue;
    lane.leaving = true;
    // What stands ready goes back unstarted: the position must not pass it.
    lanes_.progress();
    lanes_.freeze(slice);
    lane.dropped = scheduler_.skipped();
    scheduler_.drop_lane(slice);
    intake.leave(slice);
    --staying;
  }
}

bool LaneShare::take(Connected& connected, std::size_t share) {
  const auto asked = clock_.now();
  auto rows = connected.session.lanes->take(leases_.holder(), leases_.ttl(),
                                            static_cast<int>(share - lanes_.size()));
  if (rows.empty()) return false;
  leases_.hold(held(rows), asked);
  // All of them are ours before the first is read: an error there must not leave a lease behind
  // that is renewed and never worked.
  std::vector<feed::Slice> taken;
  for (auto& row : rows) {
    taken.push_back(row.lane);
    auto& lane = lanes_.add(std::move(row));
    // Not when this process, which is alive, had it and only its lease lapsed.
    lane.crash =
        lane.row.previous_holder != leases_.holder() || !held_before_.contains(lane.row.lane);
    for (int c = 0; c < kClasses; ++c) {
      const auto& place = lane.row.skipped[static_cast<std::size_t>(c)];
      if (place) scheduler_.skip_from(c, *place);
    }
  }
  held_before_.insert(taken.begin(), taken.end());
  for (const auto slice : taken) connected.intake.enter(*lanes_.find(slice));
  connected.intake.lanes_added();
  log_.info("lanes held", {{"lanes", lanes_.size()}, {"taken", taken.size()}});
  return true;
}

void LaneShare::settle(Connected& connected) {
  const auto now = clock_.now();
  std::size_t lanes = 0;
  std::size_t jobs = 0;
  for (auto& [slice, lane] : lanes_) {
    if (!lane.must_settle || now < lane.settle_at) continue;
    const auto handed_on = settle(connected, lane, lane.crash);
    if (!lane.crash || handed_on.value_or(0) == 0) continue;
    ++lanes;
    jobs += *handed_on;
  }
  if (jobs == 0) return;
  log_.warn("lanes of a lost worker: their jobs run again", {{"lanes", lanes}, {"jobs", jobs}});
}

// Returns how many jobs go to new attempts; nullopt: the lane is lost.
std::optional<std::size_t> LaneShare::settle(Connected& connected, HeldLane& lane, bool crash) {
  const auto settled = connected.session.lanes->settle(
      lane.row.lane, lane.row.epoch, lane.row.version, crash, options_.quarantine_after,
      kCrashBackoff, lane.row.previous_holder);
  if (!settled) {
    lane.must_settle = false;
    lane.lose();
    return std::nullopt;
  }
  const auto left = static_cast<std::size_t>(settled->left_open);
  const auto handed_on = lane.left_open - std::min(left, lane.left_open);
  lane.left_open = left;
  lane.row.version = settled->version;
  lane.row.open = lane.unsettled;
  lane.must_settle = left > 0;
  lane.settle_at = clock_.now() + kSettleAgain;
  if (!lane.must_settle) lane.unsettled.clear();
  if (crash && handed_on > 0) {
    metrics_.crash_attempts(handed_on);
    connected.intake.due_changed();
    claims_.expect_again_by(clock_.now() + kCrashBackoff);
  }
  return handed_on;
}

void LaneShare::hand_back(Connected& connected) {
  std::vector<HeldLane*> free;
  for (auto& [slice, lane] : lanes_) {
    if (lane.leaving && lane.open.empty() && !lane.must_settle) free.push_back(&lane);
  }
  if (!free.empty()) release(connected, free);
}

// Writes what stands, gives the lanes to whoever looks next.
void LaneShare::release(Connected& connected, std::span<HeldLane* const> lanes) {
  lanes_.progress();
  const auto skipped = scheduler_.skipped();
  std::vector<LaneRow> rows;
  std::vector<const LaneRow*> pointers;
  rows.reserve(lanes.size());
  for (const auto* lane : lanes) {
    rows.push_back(lanes_.state(*lane, skipped));
    pointers.push_back(&rows.back());
  }
  const auto written = connected.session.lanes->journal(pointers, {});
  std::vector<const LaneRow*> free;
  for (auto& row : rows) {
    ++row.version;
    if (was_written(written, row.lane)) free.push_back(&row);
  }
  if (!free.empty()) connected.session.lanes->release(free);
  for (const auto& row : rows) drop(row.lane, &connected.intake);
}

void LaneShare::keep_leases(Intake* intake) {
  const auto now = clock_.now();
  std::vector<feed::Slice> lapsed;
  for (const auto& [slice, lane] : lanes_) {
    if (lane.lost() || leases_.trusted_until(slice) <= now) lapsed.push_back(slice);
  }
  if (lapsed.empty()) return;
  log_.warn("lease lost", {{"lanes", lapsed.size()}});
  metrics_.lanes_lost(lapsed.size());
  for (const auto slice : lapsed) drop(slice, intake);
  metrics_.lanes_held(lanes_.size());
}

void LaneShare::drop(feed::Slice lane, Intake* intake) {
  claims_.drop_lane(lane);
  scheduler_.drop_lane(lane);
  if (intake) intake->leave(lane);
  leases_.drop(lane);
  lanes_.remove(lane);
  lost_epochs_.erase(lane);
}

void LaneShare::save(Connected& connected) {
  lanes_.progress();
  const auto skipped = scheduler_.skipped();
  std::vector<LaneRow> rows;
  for (const auto& [slice, lane] : lanes_) {
    if (lane.lost()) continue;
    if (lanes_.moved(lane) || lane.row.skipped != skipped) {
      rows.push_back(lanes_.state(lane, skipped));
    }
  }
  if (rows.empty()) return;
  std::vector<const LaneRow*> pointers;
  for (const auto& row : rows) pointers.push_back(&row);
  const auto written = connected.session.lanes->journal(pointers, {});
  for (auto& row : rows) {
    auto& lane = *lanes_.find(row.lane);
    if (was_written(written, row.lane)) {
      lane.written(std::move(row));
    } else {
      lane.lose();
    }
  }
}

void LaneShare::hand_over(Connected& connected) {
  std::vector<const LaneRow*> free;
  for (auto& [slice, lane] : lanes_) {
    if (settle(connected, lane, false)) free.push_back(&lane.row);
  }
  if (!free.empty()) connected.session.lanes->release(free);
  for (const auto slice : lanes_.slices()) drop(slice, &connected.intake);
}

}  // namespace relevo::worker
