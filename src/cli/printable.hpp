// Text of unknown origin (a Kafka key, an error of a broker) as one line that cannot control a
// terminal: control characters become \n, \t or \u00XX.
#pragma once

#include <string>
#include <string_view>

namespace relevo::cli {

std::string printable(std::string_view text);

// Characters, not bytes, of UTF-8.
std::size_t width_of(std::string_view text);

}  // namespace relevo::cli
