// Percentiles of durations that were all kept.
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace relevo::bench {

using Nanoseconds = std::chrono::nanoseconds;

// Adds <prefix>p50_ms, p99_ms, p999_ms and max_ms to `to`. Nearest rank. Requires one duration at
// least.
void add_percentiles(nlohmann::ordered_json& to, const std::string& prefix,
                     std::vector<Nanoseconds> durations);

double milliseconds(Nanoseconds duration);  // two decimals

}  // namespace relevo::bench
