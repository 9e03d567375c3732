// When to do again what takes a varying time: every `every`, or so seldom that it takes at most
// 2 % of the time, if it takes long. Not thread-safe.
#pragma once

#include <algorithm>
#include <chrono>
#include <optional>

#include "relevo/core/clock.hpp"

namespace relevo {

class Pace {
 public:
  static constexpr int kShare = 50;  // of the time, one part for the runs

  explicit Pace(std::chrono::milliseconds every) : every_(every) {}

  bool due(core::BootTime now) const { return now >= next_; }
  // Until the next run, counted from the beginning of the last one.
  std::chrono::nanoseconds interval() const { return interval_; }

  void began(core::BootTime now) { began_ = now; }
  // Also when it failed: what fails after half a minute is not to be tried at once again. Does
  // nothing unless a run has begun.
  void ended(core::BootTime now) {
    if (!began_) return;
    interval_ = std::max<std::chrono::nanoseconds>(every_, (now - *began_) * kShare);
    next_ = *began_ + interval_;
    began_.reset();
  }

 private:
  const std::chrono::milliseconds every_;
  std::chrono::nanoseconds interval_ = every_;
  std::optional<core::BootTime> began_;
  core::BootTime next_{};
};

}  // namespace relevo
