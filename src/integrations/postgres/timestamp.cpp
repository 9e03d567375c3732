#include "timestamp.hpp"

#include <array>
#include <cstdio>

#include "relevo/core/civil_time.hpp"

namespace relevo::postgres {

std::string timestamp(core::WallTime time) {
  const auto at = core::civil_time(time);
  const bool before_christ = at.year < 1;
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02d.%06dZ%s",
                before_christ ? 1 - at.year : at.year, at.month, at.day, at.hour, at.minute,
                at.second, at.microsecond, before_christ ? " BC" : "");
  return text.data();
}

}  // namespace relevo::postgres
