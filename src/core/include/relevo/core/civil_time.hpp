// A time as people read it, in UTC. Of every time that fits into WallTime: PostgreSQL's reach far
// beyond the years that std::chrono::year can hold, which would wrap there.
#pragma once

#include "relevo/core/clock.hpp"

namespace relevo::core {

struct CivilTime {
  int year = 1970;  // 0: 1 BC, -1: 2 BC
  unsigned month = 1;
  unsigned day = 1;
  int hour = 0;
  int minute = 0;
  int second = 0;
  int microsecond = 0;
};

CivilTime civil_time(WallTime time);

}  // namespace relevo::core
