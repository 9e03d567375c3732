// Keeps calls away from something that is down: after `failures` failures in a row it opens, after
// a while it lets one call through (the probe), and a probe that succeeds closes it. The times
// between probes double up to a cap, with jitter, so that replicas do not probe in step.
//
// Pure: time is passed in and never goes back. Not thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <random>

#include "relevo/core/clock.hpp"

namespace relevo::worker {

class CircuitBreaker {
 public:
  using Duration = std::chrono::milliseconds;

  enum class State { kClosed, kHalfOpen, kOpen };
  enum class Result {
    kSuccess,
    kFailure,
    kUnknown,  // given up by the caller: says nothing about the other side
  };

  struct Options {
    int failures = 5;            // in a row; one success in between starts the count anew
    Duration open_for{1'000};    // the first time; then doubled …
    Duration open_cap{60'000};   // … up to this
    Duration wait_cap{900'000};  // the longest wait the other side may ask for
  };

  // Goes with one call, from admit() to finished().
  struct Permit {
    std::uint64_t period = 0;  // between two changes of state
    bool probe = false;
  };

  explicit CircuitBreaker(Options options, std::uint64_t seed = std::random_device{}());

  // nullopt: no call now. Every permit is brought back by finished().
  [[nodiscard]] std::optional<Permit> admit(core::BootTime now);

  // Calls admitted before the last change of state no longer count: they say how it was.
  // wait: what the other side asked for (Retry-After); it stays open at least so long.
  void finished(Permit permit, Result result, core::BootTime now,
                std::optional<Duration> wait = std::nullopt);

  State state(core::BootTime now) const;
  // Whether admit() would let a call through.
  bool admits(core::BootTime now) const;

  // When to come again after having been turned away: the rest of the open time and jitter.
  Duration pause(core::BootTime now);

 private:
  void open(core::BootTime now, std::optional<Duration> wait);
  void close();
  Duration between(Duration low, Duration high);

  const Options options_;
  bool closed_ = true;
  core::BootTime open_until_{};
  bool probing_ = false;
  int failures_ = 0;
  unsigned openings_ = 0;  // since it was last closed
  std::uint64_t period_ = 0;
  std::mt19937_64 random_;
};

}  // namespace relevo::worker
