// RELEVO_INVARIANT(condition, "why it must hold"): always compiled in. A broken one is a bug: it is
// written to standard error and the process aborts, since going on could lose or reorder an event.
#pragma once

#include <string_view>

namespace relevo::core {

[[noreturn]] void invariant_broken(std::string_view condition, std::string_view why,
                                   std::string_view file, int line);

}  // namespace relevo::core

#define RELEVO_INVARIANT(condition, why)                                       \
  do {                                                                         \
    if (!(condition)) [[unlikely]] {                                           \
      ::relevo::core::invariant_broken(#condition, (why), __FILE__, __LINE__); \
    }                                                                          \
  } while (false)
