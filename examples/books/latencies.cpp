#include "latencies.hpp"

#include <algorithm>
#include <bit>

namespace relevo::books {
namespace {

// 32 buckets for each doubling.
constexpr int kBits = 5;

std::size_t bucket_of(std::uint64_t value) {
  if (value < (1U << kBits)) return value;
  const auto shift = static_cast<unsigned>(std::bit_width(value)) - kBits - 1;
  return (std::size_t{shift} << kBits) + (value >> shift);
}

std::uint64_t upper_bound_of(std::size_t bucket) {
  if (bucket < (1U << kBits)) return bucket;
  const auto shift = (bucket >> kBits) - 1;
  return (((bucket & ((1U << kBits) - 1)) + (1U << kBits) + 1) << shift) - 1;
}

}  // namespace

void Latencies::add(Duration latency) {
  // Clocks of two machines may disagree; an event does not arrive before it happened.
  latency = std::max(latency, Duration{0});
  const auto bucket = bucket_of(static_cast<std::uint64_t>(latency.count()));
  ++counts_[std::min(bucket, counts_.size() - 1)];
  ++total_;
  max_ = std::max(max_, latency);
}

Latencies::Duration Latencies::percentile(double share) const {
  const auto wanted = share * static_cast<double>(total_);
  std::uint64_t seen = 0;
  for (std::size_t bucket = 0; bucket < counts_.size(); ++bucket) {
    seen += counts_[bucket];
    if (seen > 0 && static_cast<double>(seen) >= wanted) {
      return std::min(max_, Duration(static_cast<Duration::rep>(upper_bound_of(bucket))));
    }
  }
  return max_;
}

}  // namespace relevo::books
