// Messages of a topic, each with one effect in the database, exactly once.
#pragma once

#include <nlohmann/json.hpp>

#include "options.hpp"

namespace relevo::bench {

// Options::jobs messages, as the relay makes them, through the inbox; with a Kafka of its own.
nlohmann::ordered_json measure_consumer(const Options& options);

}  // namespace relevo::bench
