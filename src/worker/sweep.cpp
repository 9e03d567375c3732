#include "sweep.hpp"

#include <algorithm>
#include <vector>

namespace relevo::worker {
namespace {

using namespace std::chrono_literals;

constexpr auto kFirst = 10min;
constexpr auto kEvery = 1h;

}  // namespace

Sweep::Sweep(HeldLanes& lanes, const Scheduler& scheduler, const Claims& claims, core::Log& log,
             const core::Clock& clock)
    : lanes_(lanes),
      scheduler_(scheduler),
      claims_(claims),
      log_(log),
      clock_(clock),
      next_(clock.now() + kFirst) {}

void Sweep::step(JobReader& jobs, Intake& intake) {
  const auto now = clock_.now();
  if (lanes_.empty() || (!after_ && now < next_)) return;
  if (!after_) {
    after_ = 0;
    next_ = now + kEvery;
  }
  if (scheduler_.ready() > 0) return;
  const auto bounds = intake.bounds();
  if (!bounds) return;
  auto page = jobs.sweep(*after_, *bounds, lanes_.working());
  after_ = page.scanned_to;
  // Rows that were left in the table are rightly behind their position.
  const auto skipped = scheduler_.skipped();
  const bool some_left = std::any_of(skipped.begin(), skipped.end(),
                                     [](const auto& place) { return place.has_value(); });
  if (some_left) return;
  std::erase_if(page.stuck, [&](const JobKey& job) {
    return scheduler_.knows(job.id) || claims_.contains(job.id);
  });
  if (page.stuck.empty()) return;
  const int freed = jobs.sweep_fix(lanes_.leases(), page.stuck);
  log_.error("jobs were stuck and are set free; please report this", {{"jobs", freed}});
}

}  // namespace relevo::worker
