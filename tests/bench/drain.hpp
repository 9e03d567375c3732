// A backlog of jobs that do nothing, worked off from a standing start.
#pragma once

#include <cstdint>

#include "queues.hpp"

namespace relevo::bench {

struct DrainOptions {
  std::int64_t jobs = 0;
  int processes = 1;
  // A stranger's transaction with a snapshot and an id of its own stays open throughout.
  bool held = false;
};

struct Drained {
  double rate = 0;             // jobs a second, from the first run to the commit of the last end
  double rate_with_start = 0;  // the same from the start of the processes on
  double rate_first = 0;       // of the first and the last tenth, by runs
  double rate_last = 0;
  double cpu_ms_per_1000 = 0;  // of the workers and of PostgreSQL
  double worker_cpu_ms_per_1000 = 0;
  double peak_rss_mib = 0;  // of one worker
};

// In a fresh database, filled and vacuumed. Throws std::runtime_error when a job is not run exactly
// once.
Drained drain(const Options& options, const Queue& queue, const DrainOptions& how);

// Jobs from first to last in pieces, then what autovacuum would do sooner or later, so that it does
// not do it beside one measurement only.
void fill(const std::string& url, const Queue& queue, std::int64_t jobs);

}  // namespace relevo::bench
