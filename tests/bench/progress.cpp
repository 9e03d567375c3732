#include "progress.hpp"

#include <sys/resource.h>

#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <mutex>
#include <utility>

namespace relevo::bench {
namespace {

using namespace std::chrono_literals;

constexpr auto kSampleEvery = 10ms;

double seconds_of(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

sigset_t stop_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

void write_line(const char* format, auto... values) {
  std::printf(format, values...);
  std::fflush(stdout);
}

}  // namespace

std::int64_t unix_microseconds() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

void Progress::start() {
  sampler_ = std::jthread([this](const std::stop_token& stop) { sample(stop); });
}

void Progress::sample(const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any wake;
  for (std::unique_lock lock(mutex); !stop.stop_requested();) {
    (void)wake.wait_for(lock, stop, kSampleEvery, [] { return false; });
    tell();
  }
}

void Progress::tell() {
  const auto ran = ran_.load(std::memory_order_relaxed);
  if (ran == told_) return;
  told_ = ran;
  write_line("%lld %lld\n", static_cast<long long>(unix_microseconds()),
             static_cast<long long>(ran));
}

void Progress::finish(nlohmann::ordered_json result) {
  sampler_.request_stop();
  sampler_.join();
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  result["cpu_seconds"] = seconds_of(used.ru_utime) + seconds_of(used.ru_stime);
  result["peak_rss_mib"] = static_cast<double>(used.ru_maxrss) / 1024;
  write_line("%s\n", result.dump().c_str());
}

void block_stop_signals() {
  const auto signals = stop_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

void wait_for_stop_signal() {
  const auto signals = stop_signals();
  int signal = 0;
  sigwait(&signals, &signal);
}

}  // namespace relevo::bench
