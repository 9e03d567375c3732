// Several writers at once, each a thread with a connection of its own.
#pragma once

#include <functional>

namespace relevo::bench {

// Calls `write` with 0 to writers - 1; returns when all calls have. What one threw is thrown again.
void run_writers(int writers, const std::function<void(int writer)>& write);

}  // namespace relevo::bench
