// The known name that a mistaken one most likely stands for.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace relevo::config {

std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& known);

// Of paths with dots; the right name at the wrong place counts as nearest, headings count too.
std::optional<std::string> nearest_path(std::string_view path,
                                        const std::vector<std::string>& known);

}  // namespace relevo::config
