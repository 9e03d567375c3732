#include "claims.hpp"

#include <algorithm>
#include <utility>

namespace relevo::worker {
namespace {

void ask_to_stop(Claim& claim) {
  claim.stop.request_stop();
  if (is_remote(claim.kind)) claim.kind->remote->abandon(claim.job->job());
}

}  // namespace

Claim* Claims::add(HeldLane& lane, std::unique_ptr<Claim> claim) {
  auto* added = claim.get();
  const auto& row = claim->row();
  lane.open[row.at.id] = row.token;
  claimed_[row.at.id] = {claim->job->key(), row.lane, added};
  running_.emplace(added, std::move(claim));
  return added;
}

Claims::Run Claims::end(const Claim* run) {
  const auto found = running_.find(run);
  if (found == running_.end()) return {};
  auto claim = std::move(found->second);
  running_.erase(found);
  const auto mine = claimed_.find(claim->row().at.id);
  const bool ours = mine != claimed_.end() && mine->second.running == claim.get();
  if (ours) {
    mine->second.running = nullptr;
    scheduler_.ended(claim->row());
  }
  return {std::move(claim), ours};
}

void Claims::recall(const Claim* run) {
  const auto mine = claimed_.find(run->row().at.id);
  if (mine != claimed_.end() && mine->second.running == run) claimed_.erase(mine);
  running_.erase(run);
}

void Claims::comes_again(JobId job, std::chrono::milliseconds in) {
  if (const auto mine = claimed_.find(job); mine != claimed_.end()) mine->second.comes_again = in;
}

void Claims::expect_again_by(core::BootTime at) { comes_again_at_ = std::max(comes_again_at_, at); }

void Claims::over(const JobKey& job) {
  scheduler_.forget(job);
  // What is not among them was dropped with its lane.
  const auto mine = claimed_.find(job.id);
  if (mine == claimed_.end() || mine->second.key != job) return;
  if (const auto in = mine->second.comes_again; in.count() > 0) expect_again_by(clock_.now() + in);
  auto* lane = lanes_.find(mine->second.lane);
  claimed_.erase(mine);
  if (!lane) return;
  lane->open.erase(job.id);
  lane->dirty = true;
}

void Claims::drop_lane(feed::Slice lane) {
  for (auto claimed = claimed_.begin(); claimed != claimed_.end();) {
    const auto& [id, one] = *claimed;
    if (one.lane != lane) {
      ++claimed;
      continue;
    }
    if (auto* claim = one.running) {
      scheduler_.ended(claim->row());
      ask_to_stop(*claim);
    }
    scheduler_.forget(one.key);
    claimed = claimed_.erase(claimed);
  }
}

std::optional<Cancellation> Claims::cancel(JobId job) {
  const auto claimed = claimed_.find(job);
  if (claimed == claimed_.end()) return std::nullopt;
  auto* claim = claimed->second.running;
  if (!claim) return Cancellation::kNotYet;  // it has just ended, and may come again
  const bool before = std::exchange(claim->cancelled, true);
  ask_to_stop(*claim);
  return before ? Cancellation::kDone : Cancellation::kStopping;
}

void Claims::ask_all_to_stop() {
  for (const auto& [run, claim] : running_) ask_to_stop(*claim);
}

}  // namespace relevo::worker
