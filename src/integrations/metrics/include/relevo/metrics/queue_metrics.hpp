// Port: what a look at the tables tells of work that nobody holds. Each call is the whole truth as
// of now: what it does not name is taken to be 0. Thread-safe; the verbs never throw.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string_view>

namespace relevo::metrics {

struct QueueDepth {
  std::string_view queue;
  std::int64_t ready = 0;
  std::chrono::duration<double> oldest_age{0};  // since it became ready
};

struct DeadLetters {
  std::string_view source;  // "jobs", or a subscription
  std::int64_t count = 0;
};

class QueueMetrics {
 public:
  virtual ~QueueMetrics() = default;

  // fresh_for: how soon the next call is due. Without one the oldest are taken to age on: an age
  // must not stand still because the database it is read from is down.
  virtual void queues(std::span<const QueueDepth> depths,
                      std::chrono::duration<double> fresh_for) = 0;
  virtual void dead_letters(std::span<const DeadLetters> letters) = 0;
};

}  // namespace relevo::metrics
