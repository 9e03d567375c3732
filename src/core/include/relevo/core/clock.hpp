// BootClock counts on while the machine sleeps (CLOCK_BOOTTIME) and never steps: leases are trusted
// by it, never by wall time. WallTime is for humans and for latencies against the database's clock.
#pragma once

#include <chrono>

namespace relevo::core {

struct BootClock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<BootClock>;
  static constexpr bool is_steady = true;

  static time_point now() noexcept;
};

using BootTime = BootClock::time_point;
using WallTime = std::chrono::sys_time<std::chrono::microseconds>;

// The source of time of a component; a test hands in its own. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual BootTime now() const = 0;
  virtual WallTime wall() const = 0;
};

const Clock& system_clock();

}  // namespace relevo::core
