// The database's time: as it was told last, counted on by this process's own clock. One thread.
// Borrows that clock for its life.
#pragma once

#include <chrono>

#include "relevo/core/clock.hpp"

namespace relevo::worker {

class DatabaseClock {
 public:
  explicit DatabaseClock(const core::Clock& clock) : clock_(clock) {}

  void set(core::WallTime now) {
    told_ = now;
    told_at_ = clock_.now();
  }
  core::WallTime now() const {
    return told_ + std::chrono::duration_cast<std::chrono::microseconds>(clock_.now() - told_at_);
  }

 private:
  const core::Clock& clock_;
  core::WallTime told_{};
  core::BootTime told_at_{};
};

}  // namespace relevo::worker
