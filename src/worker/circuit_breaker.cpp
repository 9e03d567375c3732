#include "relevo/worker/circuit_breaker.hpp"

#include <algorithm>

namespace relevo::worker {

CircuitBreaker::CircuitBreaker(Options options, std::uint64_t seed)
    : options_(options), random_(seed) {}

std::optional<CircuitBreaker::Permit> CircuitBreaker::admit(core::BootTime now) {
  if (!admits(now)) return std::nullopt;
  probing_ = !closed_;
  return Permit{period_, probing_};
}

void CircuitBreaker::finished(Permit permit, Result result, core::BootTime now,
                              std::optional<Duration> wait) {
  if (permit.period != period_) return;
  if (permit.probe) {
    probing_ = false;
    if (result == Result::kSuccess) close();
    if (result == Result::kFailure) open(now, wait);
  } else if (closed_ && result == Result::kSuccess) {
    failures_ = 0;
  } else if (closed_ && result == Result::kFailure && ++failures_ >= options_.failures) {
    open(now, wait);
  }
}

CircuitBreaker::State CircuitBreaker::state(core::BootTime now) const {
  if (closed_) return State::kClosed;
  return now < open_until_ ? State::kOpen : State::kHalfOpen;
}

bool CircuitBreaker::admits(core::BootTime now) const {
  return closed_ || (now >= open_until_ && !probing_);
}

CircuitBreaker::Duration CircuitBreaker::pause(core::BootTime now) {
  const auto rest = std::max(std::chrono::ceil<Duration>(open_until_ - now), options_.open_for);
  return rest + between(Duration(0), std::max(rest / 2, options_.open_for));
}

// Half of the time is certain: full jitter would now and then probe at once.
void CircuitBreaker::open(core::BootTime now, std::optional<Duration> wait) {
  const auto doublings = std::min(openings_++, 20U);
  const auto longest =
      std::min(options_.open_cap, options_.open_for * (Duration::rep{1} << doublings));
  auto time = between(longest / 2, longest);
  if (wait) {
    const auto asked = std::min(*wait, options_.wait_cap);
    time = std::max(time, asked + between(Duration(0), options_.open_for));
  }
  closed_ = false;
  open_until_ = now + time;
  ++period_;
}

void CircuitBreaker::close() {
  closed_ = true;
  failures_ = 0;
  openings_ = 0;
  ++period_;
}

CircuitBreaker::Duration CircuitBreaker::between(Duration low, Duration high) {
  return Duration(std::uniform_int_distribution<Duration::rep>(low.count(), high.count())(random_));
}

}  // namespace relevo::worker
