// Lines of the log about jobs that died: ten a second, then how many more there were. When
// everything dies, the log must not be what stops the worker.
//
// One thread. Borrows log and clock for its life.
#pragma once

#include <cstddef>
#include <string_view>

#include "relevo/core/clock.hpp"
#include "relevo/core/log.hpp"
#include "relevo/worker/job_row.hpp"

namespace relevo::worker {

class DeathNotices {
 public:
  DeathNotices(core::Log& log, const core::Clock& clock) : log_(log), clock_(clock) {}

  // state: dead, or quarantined.
  void tell(const JobRow& row, std::string_view state, std::string_view reason);

 private:
  core::Log& log_;
  const core::Clock& clock_;
  core::BootTime since_{};
  int told_ = 0;
  std::size_t untold_ = 0;
};

}  // namespace relevo::worker
