// Options that take a whole number say which ones they take: the parser itself would take the
// largest one for what is larger still.
#pragma once

#include <CLI/App.hpp>
#include <cstdint>
#include <limits>

namespace relevo::cli {

CLI::Validator whole_number(std::int64_t least, std::int64_t most);
inline CLI::Validator whole_id() {
  return whole_number(1, std::numeric_limits<std::int64_t>::max());
}
inline CLI::Validator whole_int() {
  return whole_number(std::numeric_limits<std::int32_t>::min(),
                      std::numeric_limits<std::int32_t>::max());
}

}  // namespace relevo::cli
