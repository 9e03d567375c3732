// What was probably meant: for hints behind an unknown name.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace relevo::core {

// The known word that differs least, if by no more than a third of its letters, two at least.
std::optional<std::string> nearest(std::string_view word, std::span<const std::string> known);

}  // namespace relevo::core
