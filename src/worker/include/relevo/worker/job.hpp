// A job as a handler sees it. Views are valid for the duration of the call.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "relevo/core/clock.hpp"

namespace relevo::worker {

using JobId = std::int64_t;

struct Job {
  JobId id = 0;
  std::string_view kind;
  std::string_view queue;
  std::string_view payload;  // JSON text
  std::string_view headers;  // JSON text, an object of strings; "{}" when there are none
  std::optional<std::string_view> tenant;
  std::optional<std::string_view> unique_key;
  std::optional<std::string_view> concurrency_key;
  int attempt = 1;  // of this run, from 1
  core::WallTime created_at{};
};

}  // namespace relevo::worker
