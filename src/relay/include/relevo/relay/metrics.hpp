// Port: what the relay tells about itself. Verbs; names and types live in the adapter.
// Called from the relay's threads; implementations are thread-safe and never throw.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace relevo::relay {

class Metrics {
 public:
  virtual ~Metrics() = default;

  // Events acknowledged by the broker, each with created_at -> acknowledged.
  virtual void published(std::span<const std::chrono::microseconds> end_to_end) = 0;
  // reason: too_large, invalid_topic, unknown_topic, unauthorized, rejected, queued_behind,
  // producer_lost
  virtual void publish_failed(std::string_view reason, std::size_t events) = 0;
  virtual void batch_read(std::size_t events) = 0;
  virtual void shards_held(std::size_t shards) = 0;
  virtual void lease_lost(std::size_t shards) = 0;
  virtual void producer_reopened() = 0;
  virtual void queue_depth(std::size_t records) = 0;  // handed to Kafka, not yet acknowledged
  virtual void backlog(std::int64_t events, bool exact,
                       std::chrono::duration<double> oldest_age) = 0;
  virtual void dead_events(std::int64_t parked, std::int64_t aggregates) = 0;
};

}  // namespace relevo::relay
