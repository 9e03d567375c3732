// The measurements of scripts/bench jobs, by name; side by side with graphile-worker and River.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "options.hpp"

namespace relevo::bench {

// Names that Options::only may hold.
std::vector<std::string> job_measurements();

// All figures in one object; with several runs each is the median, of memory the worst.
nlohmann::ordered_json measure_jobs(const Options& options);

}  // namespace relevo::bench
