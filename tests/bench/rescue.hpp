// A worker is killed while its jobs run.
#pragma once

#include <nlohmann/json.hpp>

#include "options.hpp"

namespace relevo::bench {

// How long until another worker has begun the last of them again, and how many ran twice.
nlohmann::ordered_json measure_rescue(const Options& options);

}  // namespace relevo::bench
