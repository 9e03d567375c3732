// The failed attempts of one message: number, time and error of each. However often it fails, the
// first 5 and the last 15 are kept, and an error has at most 1 KiB, so a log takes at most some
// 20 KiB; one without a failure takes nothing. As JSON it goes with the dead message into the table
// and the dead letter topic. A value.
#pragma once

#include <cstddef>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "relevo/core/clock.hpp"

namespace relevo::worker {

struct FailedAttempt {
  int attempt = 1;
  core::WallTime at{};
  std::string error;  // UTF-8, at most 1 KiB

  bool operator==(const FailedAttempt&) const = default;
};

class AttemptLog {
 public:
  static constexpr std::size_t kFirst = 5;
  static constexpr std::size_t kLast = 15;

  AttemptLog() = default;
  // Reads what attempts_json() wrote. What is no entry is passed over: a person may have been at
  // the table, and a message must not be held up by its history.
  explicit AttemptLog(std::string_view text);

  // An attempt has one entry: one that is made again, since the message could not be parked, keeps
  // its time and has the later error.
  void add(FailedAttempt failed);

  std::span<const FailedAttempt> entries() const { return entries_; }

 private:
  std::vector<FailedAttempt> entries_;
};

// [{"attempt": 1, "at": "2026-01-31T12:00:00.123Z", "error": "…"} …]. Of a text that would have
// more bytes than `most`, entries are left out from the middle.
std::string attempts_json(std::span<const FailedAttempt> attempts,
                          std::size_t most = std::numeric_limits<std::size_t>::max());

}  // namespace relevo::worker
