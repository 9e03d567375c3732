// The time from a job's INSERT to its handler, at a fixed rate of single jobs, each enqueued in a
// transaction of its own.
#pragma once

#include <nlohmann/json.hpp>

#include "options.hpp"

namespace relevo::bench {

// relevo at Options::rate, graphile-worker at half of it.
nlohmann::ordered_json measure_job_latency(const Options& options);

// Adds the percentiles of what a worker kept as `latencies`: <prefix>p50_ms … from the INSERT,
// <prefix>from_due_p50_ms … from when the job was due.
void add_latencies(nlohmann::ordered_json& to, const std::string& prefix,
                   const nlohmann::json& told);

}  // namespace relevo::bench
