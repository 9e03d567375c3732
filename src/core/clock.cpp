#include "relevo/core/clock.hpp"

#include <ctime>

namespace relevo::core {

BootTime BootClock::now() noexcept {
  timespec t{};
  clock_gettime(CLOCK_BOOTTIME, &t);
  return BootTime(std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec));
}

const Clock& system_clock() {
  class SystemClock final : public Clock {
   public:
    BootTime now() const override { return BootClock::now(); }
    WallTime wall() const override {
      return std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
    }
  };
  static const SystemClock kClock;
  return kClock;
}

}  // namespace relevo::core
