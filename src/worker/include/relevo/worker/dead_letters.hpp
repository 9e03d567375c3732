// Port: a topic for messages that were given up, beside the table that keeps them. Thread-safe.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "relevo/core/clock.hpp"
#include "relevo/worker/attempt_log.hpp"
#include "relevo/worker/raw_record.hpp"

namespace relevo::worker {

struct DeadLetter {
  std::string_view error_class;    // undecodable, unknown_type, rejected, exhausted
  std::string_view error_message;  // UTF-8, at most 1 KiB
  int attempts = 0;
  core::WallTime first_failed_at{};
  std::span<const FailedAttempt> attempt_log;  // not empty; the last entry is this failure
};

class DeadLetters {
 public:
  virtual ~DeadLetters() = default;

  // Key, value and headers of the record, and x-… headers that tell of the failure. Returns when
  // the brokers have it; else why not, and it may have been written all the same.
  [[nodiscard]] virtual std::optional<std::string> send(const RawRecord& record,
                                                        const DeadLetter& letter) = 0;
};

}  // namespace relevo::worker
