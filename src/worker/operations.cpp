#include "operations.hpp"

#include <utility>
#include <vector>

namespace relevo::worker {
namespace {

using namespace std::chrono_literals;

constexpr auto kAgain = 20ms;

}  // namespace

void Operations::begin(std::span<const Signal> signals) {
  if (current_) return;
  for (const auto& signal : signals) {
    if (signal.kind != SignalKind::kOperation) continue;
    if (!current_) current_ = Current{.id = signal.subject};
    const auto* lane = lanes_.find(signal.lane);
    if (!lane || signal.subject != current_->id) continue;
    current_->lanes[signal.lane] = {lane->row.epoch, signal.id};
  }
}

bool Operations::step(JobReader& jobs, const CancelJob& cancel) {
  if (!current_) return false;
  std::erase_if(current_->lanes, [&](const auto& asked) {
    const auto* lane = lanes_.find(asked.first);
    return !lane || lane->leaving || lane->row.epoch != asked.second.epoch;
  });
  if (current_->lanes.empty()) {
    current_.reset();
    return false;
  }
  if (current_->after) {
    current_->after = apply_page(jobs, cancel, *current_->after);
  } else if (!current_->again.empty()) {
    if (clock_.now() < current_->again_at) return false;
    const auto after = current_->again.front();
    current_->again.pop_front();
    (void)apply_page(jobs, cancel, after);
  } else {
    tell(jobs);
    current_.reset();
    return true;
  }
  current_->again_at = clock_.now() + kAgain;
  return true;
}

// Returns after which job the next page begins; nullopt: there is none.
std::optional<JobId> Operations::apply_page(JobReader& jobs, const CancelJob& cancel, JobId after) {
  std::vector<feed::Lease> leases;
  std::vector<JobId> held;
  for (const auto& [slice, asked] : current_->lanes) {
    leases.push_back({slice, asked.epoch});
    for (const auto& [id, token] : lanes_.find(slice)->open) held.push_back(id);
  }
  const auto page = jobs.apply_operation(current_->id, leases, after, held);
  for (const auto id : page.changed) (void)scheduler_.remove(id);
  bool missed = page.missed;
  for (const auto id : page.running) {
    const auto cancelled = cancel(id);
    if (cancelled == Cancellation::kStopping) ++current_->stopping;
    missed |= cancelled == Cancellation::kNotYet;
  }
  if (missed) current_->again.push_back(after);
  return page.last_id;
}

// That it is done, lane by lane; the jobs that stop, with the first of them.
void Operations::tell(JobReader& jobs) {
  for (const auto& [slice, asked] : current_->lanes) {
    jobs.operation_lane_done(current_->id, asked.signal, std::exchange(current_->stopping, 0));
  }
}

}  // namespace relevo::worker
