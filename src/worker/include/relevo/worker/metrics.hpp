// Port: what the worker tells about itself. Verbs; names and types live in the adapter.
// Called from several threads; implementations are thread-safe and never throw.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace relevo::worker {

struct StartedJob {
  std::string_view queue;
  std::chrono::milliseconds waited{0};  // from being due to its claim
};

struct EndedJob {
  std::string_view kind;
  std::string_view outcome;  // completed, retry, snoozed, cancelled, dead, crashed, in_doubt
  std::chrono::nanoseconds ran{0};
};

class Metrics {
 public:
  virtual ~Metrics() = default;

  virtual void jobs_started(std::span<const StartedJob> jobs) = 0;
  virtual void jobs_ended(std::span<const EndedJob> jobs) = 0;
  virtual void jobs_running(std::size_t jobs) = 0;
  virtual void crash_attempts(std::size_t jobs) = 0;
  // Results of attempts that were somebody else's by then.
  virtual void results_fenced(std::size_t jobs) = 0;
  virtual void lanes_held(std::size_t lanes) = 0;
  virtual void lanes_lost(std::size_t lanes) = 0;
};

}  // namespace relevo::worker
