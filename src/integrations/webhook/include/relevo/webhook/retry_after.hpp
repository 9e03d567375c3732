// The header Retry-After (RFC 9110): how long the other side wants to be left alone.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

#include "relevo/core/clock.hpp"

namespace relevo::webhook {

inline constexpr std::chrono::hours kLongestRetryAfter{24};

// Seconds or an HTTP date, clamped to [0, 24 h]; a date that has passed is 0. nullopt for
// everything else: a value that is not understood must neither hold a job up nor hurry it.
std::optional<std::chrono::milliseconds> retry_after(std::string_view value, core::WallTime now);

}  // namespace relevo::webhook
