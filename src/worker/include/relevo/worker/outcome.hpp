// What a handler says about the job or message it was given. A value, not an exception: the caller
// branches on it. Done, Snooze and Cancel commit the handler's unit of work; Retry and Dead roll it
// back.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace relevo::worker {

// Finished. result: JSON text kept in the history; empty: none.
struct Done {
  std::string result;
};

// Failed for now: counts an attempt; dead after the last one. after: instead of the kind's
// back-off.
struct Retry {
  std::string reason;
  std::optional<std::chrono::milliseconds> after;
};

// Not yet: comes again after `delay` and counts no attempt.
struct Snooze {
  std::chrono::milliseconds delay;
};

// No longer wanted.
struct Cancel {
  std::string reason;
};

// Will never succeed: kept for a person to look at.
struct Dead {
  std::string reason;
};

using Outcome = std::variant<Done, Retry, Snooze, Cancel, Dead>;

[[nodiscard]] inline Outcome done(std::string result = {}) { return Done{std::move(result)}; }
[[nodiscard]] inline Outcome retry(std::string reason,
                                   std::optional<std::chrono::milliseconds> after = std::nullopt) {
  return Retry{std::move(reason), after};
}
[[nodiscard]] inline Outcome snooze(std::chrono::milliseconds delay) { return Snooze{delay}; }
[[nodiscard]] inline Outcome cancel(std::string reason) { return Cancel{std::move(reason)}; }
[[nodiscard]] inline Outcome dead(std::string reason) { return Dead{std::move(reason)}; }

}  // namespace relevo::worker
