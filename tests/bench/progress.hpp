// How a worker under measurement tells what it does, on standard output:
// "<microseconds since 1970> <jobs run>" every 10 ms in which that has changed, and after SIGTERM
// one JSON object, its last line. The peers tell the same in their own languages.
#pragma once

#include <atomic>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <thread>

namespace relevo::bench {

std::int64_t unix_microseconds();

// Thread-safe.
class Progress {
 public:
  Progress() = default;
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void start();  // begins to tell
  void ran(std::int64_t jobs = 1) { ran_.fetch_add(jobs, std::memory_order_relaxed); }
  // Adds to `result` what the process used, and tells it; nothing is told afterwards.
  void finish(nlohmann::ordered_json result);

 private:
  void sample(const std::stop_token& stop);
  void tell();

  std::atomic<std::int64_t> ran_{0};
  std::int64_t told_ = 0;
  std::jthread sampler_;
};

// Blocks SIGTERM and SIGINT in this thread and those it starts; before the first of them.
void block_stop_signals();
void wait_for_stop_signal();

}  // namespace relevo::bench
