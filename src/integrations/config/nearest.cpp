#include "nearest.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace relevo::config {

namespace {

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t changed = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, changed}));
    }
  }
  return row.back();
}

std::string_view last_part(std::string_view path) { return path.substr(path.rfind('.') + 1); }

}  // namespace

std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& known) {
  // Beyond a third of the word a likeness is chance; long words are not worth the work.
  std::size_t best = word.size() > 100 ? 0 : std::max<std::size_t>(2, word.size() / 3) + 1;
  std::optional<std::string> found;
  for (const std::string& candidate : known) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < best) {
      best = distance;
      found = candidate;
    }
  }
  return found;
}

std::optional<std::string> nearest_path(std::string_view path,
                                        const std::vector<std::string>& known) {
  std::vector<std::string> candidates;
  for (const std::string& candidate : known) {
    if (last_part(candidate) == last_part(path)) return candidate;
    candidates.push_back(candidate);
    for (auto dot = candidate.find('.'); dot != std::string::npos;
         dot = candidate.find('.', dot + 1)) {
      candidates.push_back(candidate.substr(0, dot));
    }
  }
  return nearest(path, candidates);
}

}  // namespace relevo::config
