// The arguments of `outbox publish` and of the dead events, as typed. Mistakes are UsageError.
#pragma once

#include <cstddef>
#include <istream>
#include <span>
#include <string>
#include <utility>

namespace relevo::cli {

// name=value, each name once, as a JSON object.
std::string headers_json(std::span<const std::string> given);

// The text itself, `-` for standard input, @FILE for a file. Up to 32 MiB, without NUL.
std::string read_payload(const std::string& source, std::istream& standard_input);

// TYPE/ID, divided at the first slash.
std::pair<std::string, std::string> parse_aggregate(const std::string& text);

}  // namespace relevo::cli
