#include "percentiles.hpp"

#include <algorithm>
#include <cmath>

namespace relevo::bench {

double milliseconds(Nanoseconds duration) {
  return std::round(static_cast<double>(duration.count()) / 1e4) / 1e2;
}

void add_percentiles(nlohmann::ordered_json& to, const std::string& prefix,
                     std::vector<Nanoseconds> durations) {
  std::sort(durations.begin(), durations.end());
  const auto at = [&](double share) {
    const auto rank = std::ceil(share * static_cast<double>(durations.size()));
    return milliseconds(durations[static_cast<std::size_t>(std::max(rank, 1.0)) - 1]);
  };
  to[prefix + "p50_ms"] = at(0.5);
  to[prefix + "p99_ms"] = at(0.99);
  to[prefix + "p999_ms"] = at(0.999);
  to[prefix + "max_ms"] = at(1);
}

}  // namespace relevo::bench
