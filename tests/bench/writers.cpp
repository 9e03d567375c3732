#include "writers.hpp"

#include <cstddef>
#include <exception>
#include <thread>
#include <vector>

namespace relevo::bench {

void run_writers(int writers, const std::function<void(int writer)>& write) {
  std::vector<std::exception_ptr> failures(static_cast<std::size_t>(writers));
  std::vector<std::thread> threads;
  for (int writer = 0; writer < writers; ++writer) {
    threads.emplace_back([&, writer] {
      try {
        write(writer);
      } catch (...) {
        failures[static_cast<std::size_t>(writer)] = std::current_exception();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
}

}  // namespace relevo::bench
