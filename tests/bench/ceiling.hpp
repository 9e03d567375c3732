// How fast the two halves of the relay's work can go with nothing else to do: what the relay is
// compared to.
#pragma once

#include <chrono>
#include <string>

#include "records.hpp"

namespace relevo::bench {

// Reads the columns the relay reads of all events by COPY in binary form, and discards them.
std::chrono::duration<double> copy_out(const std::string& database_url);

// In flight at a time: what the relay allows, and the most an idempotent producer may have.
enum class Requests { kOne, kFive };

// Produces all records by rd_kafka_produceva (rd_kafka_producev as a function for C++) with the
// producer settings of the relay, from memory it does not copy. The time is that from the first
// acknowledgement to the last. Throws std::runtime_error if a record is not delivered.
std::chrono::duration<double> produce(const std::string& bootstrap, const std::string& topic,
                                      Records& records, Requests requests);

}  // namespace relevo::bench
