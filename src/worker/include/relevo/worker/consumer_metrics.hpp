// Port: what consumers have to tell. Thread-safe.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace relevo::worker {

class ConsumerMetrics {
 public:
  virtual ~ConsumerMetrics() = default;

  virtual void consumer_lag(std::string_view subscription, std::int64_t messages) = 0;
  virtual void inbox_duplicates(std::size_t messages) = 0;
  virtual void dead_letter(std::string_view source) = 0;  // source: the subscription
  // outcome: done, cancelled, snoozed, retried, dead. duration: of the run they were in.
  virtual void messages_finished(std::string_view outcome, std::size_t messages,
                                 std::chrono::duration<double> duration) = 0;
  virtual void unknown_type(std::string_view subscription) = 0;
};

}  // namespace relevo::worker
