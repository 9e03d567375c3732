// A session with the database, and what reads jobs through it.
#pragma once

#include <utility>

#include "intake.hpp"
#include "relevo/worker/job_store.hpp"

namespace relevo::worker {

struct Connected {
  Connected(JobSession s, HeldLanes& lanes, Scheduler& scheduler,
            const DatabaseClock& database_clock, Intake::Polls polls, core::Log& log,
            const core::Clock& clock)
      : session(std::move(s)),
        intake(session, lanes, scheduler, database_clock, polls, log, clock) {}

  JobSession session;
  Intake intake;
};

}  // namespace relevo::worker
