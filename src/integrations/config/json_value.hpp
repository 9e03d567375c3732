// Values that are JSON text.
#pragma once

#include <string>
#include <string_view>

#include "value.hpp"

namespace relevo::config {

// Nesting beyond this is a mistake, and would burden whoever walks it by recursion.
inline constexpr int kDeepestNesting = 100;

// Also what PostgreSQL's jsonb cannot hold.
Complaint check_json(std::string_view text);

// Text as a JSON string, with quotes.
std::string json_string(std::string_view text);

// number, true, false, null: as JSON writes them, nothing more.
bool is_json_literal(std::string_view text);

}  // namespace relevo::config
