#include "relevo/core/invariant.hpp"

#include <cstdio>
#include <cstdlib>

namespace relevo::core {

void invariant_broken(std::string_view condition, std::string_view why, std::string_view file,
                      int line) {
  std::fprintf(stderr, "relevo: invariant broken: %.*s (%.*s) at %.*s:%d\n",
               static_cast<int>(why.size()), why.data(), static_cast<int>(condition.size()),
               condition.data(), static_cast<int>(file.size()), file.data(), line);
  std::abort();
}

}  // namespace relevo::core
