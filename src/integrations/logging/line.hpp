// One event as one line, without its line end.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "relevo/core/clock.hpp"
#include "relevo/core/log.hpp"

namespace relevo::logging {

struct Event {
  core::WallTime time;
  core::Level level;
  std::string_view message;
  std::span<const core::Field> fields;
};

std::string json_line(const Event& event);
std::string text_line(const Event& event, bool colour);

}  // namespace relevo::logging
