// Exponential back-off with full jitter: the n-th delay is uniform in (0, min(cap, base * 2^n)].
// Source: AWS Architecture Blog, "Exponential Backoff And Jitter". Not thread-safe.
#pragma once

#include <chrono>
#include <random>

namespace relevo::core {

class Backoff {
 public:
  using Duration = std::chrono::milliseconds;

  Backoff(Duration base, Duration cap, std::uint64_t seed = std::random_device{}());

  Duration next();  // at least 1 ms
  void reset() { attempt_ = 0; }

 private:
  Duration base_;
  Duration cap_;
  unsigned attempt_ = 0;
  std::mt19937_64 random_;
};

}  // namespace relevo::core
