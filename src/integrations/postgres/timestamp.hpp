// A time in the text form of timestamptz, to the microsecond, as parameters carry it.
#pragma once

#include <string>

#include "relevo/core/clock.hpp"

namespace relevo::postgres {

std::string timestamp(core::WallTime time);

}  // namespace relevo::postgres
