// Jobs that must not wait for others: those that are due beside many that are not, and one of high
// priority behind many of low.
#pragma once

#include <nlohmann/json.hpp>

#include "options.hpp"

namespace relevo::bench {

// Until 10,000 jobs that are handed in at once have run, with Options::future jobs of tomorrow
// beside them and without; until a job of high priority is begun while Options::backlog jobs of low
// priority are being worked off.
nlohmann::ordered_json measure_future(const Options& options);

}  // namespace relevo::bench
