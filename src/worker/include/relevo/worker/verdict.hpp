// From what a handler said to what becomes of the row. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <variant>

#include "relevo/worker/job_store.hpp"
#include "relevo/worker/outcome.hpp"
#include "relevo/worker/registry.hpp"

namespace relevo::worker {

// Which batch of results it joins: the row goes without a trace, with its history, or stays.
using Verdict = std::variant<JobKey, Finish, Failure>;

// How a run ended, beside the outcome.
struct RunTimes {
  std::chrono::milliseconds waited{0};  // from being due (or created) to the start
  std::optional<std::chrono::milliseconds> ran = std::chrono::milliseconds(0);  // nullopt: never
};

class Judge {
 public:
  explicit Judge(std::uint64_t seed = std::random_device{}()) : random_(seed) {}

  Verdict judge(const JobRow& row, const KindPolicy& policy, const Outcome& outcome,
                RunTimes times);
  // The attempt did not count: a lost connection, a deadlock. Comes again soon.
  Verdict again(const JobRow& row, const std::string& reason, RunTimes times);

  // Full jitter: uniform in (0, min(cap, base * 2^(attempts - 1))], attempts from 1.
  std::chrono::milliseconds backoff(const KindPolicy& policy, int attempts);

 private:
  std::mt19937_64 random_;
};

// Label of the metrics: completed, retry, snoozed, cancelled, dead.
std::string_view outcome_name(const Outcome& outcome);

// Text as PostgreSQL takes it, at most `most` bytes: valid UTF-8 without NUL.
std::string clean_text(std::string_view text, std::size_t most = 4'000);

}  // namespace relevo::worker
