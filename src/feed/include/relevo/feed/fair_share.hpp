// How many slices each replica should hold, so that all hold the same number give or take one.
#pragma once

#include <span>
#include <string>

namespace relevo::feed {

// alive: every living replica once, in an order all replicas agree on. A holder that is not among
// them gets none.
int fair_share(std::span<const std::string> alive, const std::string& holder, int slices);

}  // namespace relevo::feed
