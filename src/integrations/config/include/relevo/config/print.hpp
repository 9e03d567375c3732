// The effective configuration for people (`relevo check`) and for tools, with secrets shown as ***.
// The YAML form can be loaded again. What cannot be understood as free of secrets is hidden rather
// than shown.
#pragma once

#include <string>

#include "relevo/config/config.hpp"

namespace relevo::config {

std::string print_effective(const Config& config);
std::string print_effective_json(const Config& config);

}  // namespace relevo::config
