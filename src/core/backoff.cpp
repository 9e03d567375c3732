#include "relevo/core/backoff.hpp"

#include <algorithm>

namespace relevo::core {

Backoff::Backoff(Duration base, Duration cap, std::uint64_t seed)
    : base_(base), cap_(cap), random_(seed) {}

Backoff::Duration Backoff::next() {
  const auto doublings = std::min(attempt_++, 20U);
  const auto limit = std::min(cap_.count(), base_.count() << doublings);
  std::uniform_int_distribution<Duration::rep> pick(1, std::max<Duration::rep>(limit, 1));
  return Duration(pick(random_));
}

}  // namespace relevo::core
