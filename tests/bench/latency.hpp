// How long an event takes from its commit to a consumer, at a fixed rate.
#pragma once

#include <nlohmann/json.hpp>

#include "options.hpp"

namespace relevo::bench {

nlohmann::ordered_json measure_latency(const Options& options);

}  // namespace relevo::bench
