#include "held_lanes.hpp"

#include <algorithm>
#include <utility>

namespace relevo::worker {

void HeldLane::written(LaneRow state) {
  row = std::move(state);
  ++row.version;
  row.open.clear();
  dirty = false;
}

bool was_written(std::span<const Journalled> lanes, feed::Slice lane) {
  return std::any_of(lanes.begin(), lanes.end(),
                     [lane](const Journalled& one) { return one.lane == lane; });
}

HeldLane* HeldLanes::find(feed::Slice lane) {
  const auto found = lanes_.find(lane);
  return found == lanes_.end() ? nullptr : &found->second;
}

HeldLane& HeldLanes::add(LaneRow row) {
  auto& lane = lanes_[row.lane];
  lane = HeldLane{};
  lane.done = row.positions;
  lane.unsettled = row.open;
  lane.left_open = row.open.size();
  lane.must_settle = !row.open.empty();
  lane.row = std::move(row);
  return lane;
}

void HeldLanes::remove(feed::Slice lane) {
  lanes_.erase(lane);
  freeze(lane);  // what was read in this tenure says nothing about the next one
}

void HeldLanes::freeze(feed::Slice lane) {
  for (auto& reads : reads_) {
    for (auto& read : reads) std::erase(read.lanes, lane);
  }
}

void HeldLanes::forget_reads() {
  for (auto& reads : reads_) reads.clear();
}

void HeldLanes::clear() {
  lanes_.clear();
  for (auto& reads : reads_) reads.clear();
}

std::vector<feed::Slice> HeldLanes::slices() const {
  std::vector<feed::Slice> all;
  for (const auto& [slice, lane] : lanes_) all.push_back(slice);
  return all;
}

std::vector<feed::Slice> HeldLanes::working() const {
  std::vector<feed::Slice> all;
  for (const auto& [slice, lane] : lanes_) {
    if (!lane.leaving) all.push_back(slice);
  }
  return all;
}

std::vector<feed::Lease> HeldLanes::leases() const {
  std::vector<feed::Lease> all;
  for (const auto& [slice, lane] : lanes_) all.push_back({slice, lane.row.epoch});
  return all;
}

ReadBatch& HeldLanes::read(int job_class, JobPosition after, std::vector<feed::Slice> lanes) {
  return reads_[static_cast<std::size_t>(job_class)].emplace_back(
      ReadBatch{after, std::move(lanes), 0});
}

void HeldLanes::progress() {
  for (std::size_t c = 0; c < reads_.size(); ++c) {
    auto& reads = reads_[c];
    while (!reads.empty() && reads.front().left == 0) {
      for (const auto slice : reads.front().lanes) {
        if (auto* lane = find(slice)) lane->done[c] = reads.front().after;
      }
      reads.pop_front();
    }
  }
}

LaneRow HeldLanes::state(const HeldLane& lane, const Skipped& skipped) const {
  LaneRow row = lane.row;
  row.positions = lane.done;
  row.skipped = skipped;
  for (std::size_t c = 0; c < row.skipped.size(); ++c) {
    const auto& dropped = lane.dropped[c];
    if (!dropped) continue;
    row.skipped[c] = row.skipped[c] ? std::min(*row.skipped[c], *dropped) : *dropped;
  }
  row.open = lane.unsettled;
  for (const auto& [id, token] : lane.open) row.open.push_back({id, token});
  return row;
}

bool HeldLanes::moved(const HeldLane& lane) const {
  return lane.dirty || lane.done != lane.row.positions;
}

}  // namespace relevo::worker
