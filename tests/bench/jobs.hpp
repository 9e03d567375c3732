// The measurements of scripts/bench jobs, by name; side by side with graphile-worker and River.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "options.hpp"

namespace relevo::bench {

// Names that Options::only may hold.
std::vector<std::string> job_measurements();

// All figures in one object; with several runs each is the median, of memory the worst. A
// measurement that failed has only <name>_failed, the reason.
nlohmann::ordered_json measure_jobs(const Options& options);
bool has_failed(const nlohmann::ordered_json& result);

}  // namespace relevo::bench
