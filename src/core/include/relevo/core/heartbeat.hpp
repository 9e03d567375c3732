// Shows that a loop still turns: the loop beats once a round, the liveness probe reads the age.
// beat() and age() may be called from different threads. A loop that is not running has no age.
#pragma once

#include <atomic>
#include <chrono>
#include <optional>

#include "relevo/core/clock.hpp"

namespace relevo::core {

class Heartbeat {
 public:
  void beat(BootTime now) {
    last_.store(now.time_since_epoch().count(), std::memory_order_relaxed);
  }
  void rest() { last_.store(0, std::memory_order_relaxed); }

  std::optional<std::chrono::nanoseconds> age(BootTime now) const {
    const auto last = last_.load(std::memory_order_relaxed);
    if (last == 0) return std::nullopt;
    return now.time_since_epoch() - std::chrono::nanoseconds(last);
  }

 private:
  std::atomic<BootClock::rep> last_{0};
};

}  // namespace relevo::core
