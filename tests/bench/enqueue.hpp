// How fast jobs can be handed in, with nobody working on them.
#pragma once

#include <nlohmann/json.hpp>

#include "options.hpp"

namespace relevo::bench {

// Single transactions by several clients, and a thousand jobs a call by one; and for comparison
// single INSERTs into a table with nothing but a primary key.
nlohmann::ordered_json measure_enqueue(const Options& options);

}  // namespace relevo::bench
