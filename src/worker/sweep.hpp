// Looks once an hour, page by page, for jobs of our lanes that a position has passed and nobody
// holds, and sets them free. There should be none: one that is found is an error of this program,
// and the log says so. Stands back while jobs are ready to start.
//
// One thread. Borrows all it is given for its life.
#pragma once

#include <optional>

#include "claims.hpp"
#include "held_lanes.hpp"
#include "intake.hpp"
#include "relevo/core/clock.hpp"
#include "relevo/core/log.hpp"
#include "relevo/worker/scheduler.hpp"

namespace relevo::worker {

class Sweep {
 public:
  Sweep(HeldLanes& lanes, const Scheduler& scheduler, const Claims& claims, core::Log& log,
        const core::Clock& clock);

  // The next page, when it is time.
  void step(JobReader& jobs, Intake& intake);

 private:
  HeldLanes& lanes_;
  const Scheduler& scheduler_;
  const Claims& claims_;
  core::Log& log_;
  const core::Clock& clock_;
  core::BootTime next_;
  std::optional<JobId> after_;  // nullopt: none is under way
};

}  // namespace relevo::worker
