// How fast the relay drains a backlog, beside what reading and sending can reach by themselves.
#pragma once

#include <nlohmann/json.hpp>

#include "options.hpp"

namespace relevo::bench {

nlohmann::ordered_json measure_relay(const Options& options);

}  // namespace relevo::bench
