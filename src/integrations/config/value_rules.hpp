// Rules about single values that several keys share.
#pragma once

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <string_view>

#include "value.hpp"

namespace relevo::config {

bool is_one_of(std::string_view value, std::initializer_list<std::string_view> known);
bool is_printable(std::string_view text);  // no control characters
bool is_name_character(char c);            // of a topic or a property: letters, digits, . _ -

// "must be 1s to 5m, is 10ms", or nothing.
Complaint out_of_range(std::chrono::milliseconds value, std::chrono::milliseconds least,
                       std::chrono::milliseconds most);
Complaint out_of_range(std::int64_t value, std::int64_t least, std::int64_t most);

// What Kafka takes as the name of a topic.
Complaint no_topic(std::string_view name);

// "2027-01-31T08:00:00Z", with any offset and fraction, of a day that exists.
bool is_rfc3339(std::string_view text);

}  // namespace relevo::config
