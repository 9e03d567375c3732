#include "support/eventually.hpp"

#include <thread>

namespace relevo::test {

bool eventually(std::chrono::milliseconds deadline, const std::function<bool()>& condition,
                std::chrono::milliseconds interval) {
  const auto end = std::chrono::steady_clock::now() + deadline;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(interval);
  }
  return true;
}

}  // namespace relevo::test
