// Counts durations in buckets of about 3 % width: percentiles of any number of them in constant
// memory. Not thread-safe.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace relevo::books {

class Latencies {
 public:
  using Duration = std::chrono::microseconds;

  void add(Duration latency);
  void clear() { *this = {}; }

  // share: 0.5 for the median. Zero when nothing was counted.
  Duration percentile(double share) const;
  Duration max() const { return max_; }

 private:
  std::array<std::uint32_t, 1024> counts_{};
  std::uint64_t total_ = 0;
  Duration max_{0};
};

}  // namespace relevo::books
