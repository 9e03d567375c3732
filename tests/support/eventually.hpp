// Waiting for a state that another process or thread brings about: polling with a deadline, never a
// sleep that is hoped to be long enough.
#pragma once

#include <chrono>
#include <functional>

namespace relevo::test {

// Whether `condition` became true in time. Asked at once, then every `interval`, and once more at
// the end. An exception from `condition` ends the wait.
[[nodiscard]] bool eventually(std::chrono::milliseconds deadline,
                              const std::function<bool()>& condition,
                              std::chrono::milliseconds interval = std::chrono::milliseconds(20));

}  // namespace relevo::test
