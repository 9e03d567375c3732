// The rules a configuration must obey, cross-field rules included. Pure: opens no file and no
// connection. Returns all problems at once; where is the key. load() already includes these: call
// it only for a Config changed afterwards, by a command line option say.
#pragma once

#include <vector>

#include "relevo/config/config.hpp"
#include "relevo/config/problem.hpp"

namespace relevo::config {

std::vector<Problem> validate(const Config& config);

}  // namespace relevo::config
