#include "relevo/feed/fair_share.hpp"

#include <algorithm>

namespace relevo::feed {

int fair_share(std::span<const std::string> alive, const std::string& holder, int slices) {
  const auto me = std::find(alive.begin(), alive.end(), holder);
  if (me == alive.end()) return 0;
  const int replicas = static_cast<int>(alive.size());
  const int rank = static_cast<int>(me - alive.begin());
  return slices / replicas + (rank < slices % replicas ? 1 : 0);
}

}  // namespace relevo::feed
