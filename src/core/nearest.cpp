#include "relevo/core/nearest.hpp"

#include <algorithm>
#include <numeric>
#include <vector>

namespace relevo::core {
namespace {

// Letters to insert, remove or replace, or neighbours to swap.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> steps(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) steps[i][0] = i;
  std::iota(steps[0].begin(), steps[0].end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      steps[i][j] = std::min({steps[i - 1][j] + 1, steps[i][j - 1] + 1,
                              steps[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        steps[i][j] = std::min(steps[i][j], steps[i - 2][j - 2] + 1);
      }
    }
  }
  return steps[a.size()][b.size()];
}

}  // namespace

std::optional<std::string> nearest(std::string_view word, std::span<const std::string> known) {
  std::optional<std::string> found;
  std::size_t least = 0;
  for (const auto& candidate : known) {
    const auto steps = distance(word.substr(0, 100), candidate);
    if (steps > std::max<std::size_t>(2, candidate.size() / 3) || steps >= candidate.size())
      continue;
    if (!found || steps < least) {
      found = candidate;
      least = steps;
    }
  }
  return found;
}

}  // namespace relevo::core
