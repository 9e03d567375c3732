#include "relevo/worker/verdict.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "relevo/core/overloaded.hpp"

namespace relevo::worker {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kSoon{500};
constexpr std::size_t kLargestResult = 64 << 10;
constexpr int kMostAttempts = 32'767;                                    // smallint
constexpr milliseconds kLongestDelay = std::chrono::hours(24 * 36'500);  // PostgreSQL can add it

Failure failure(const JobRow& row, int attempts, milliseconds delay, AfterFailure then,
                std::optional<std::string> error, RunTimes times) {
  return {{row.at.id, row.token},
          std::clamp(attempts, 0, kMostAttempts),
          std::clamp(delay, milliseconds(0), kLongestDelay),
          then,
          std::move(error),
          times.ran.value_or(milliseconds(0))};
}

bool is_json(const std::string& text) {
  return text.size() <= kLargestResult && nlohmann::json::accept(text) &&
         text.find("\\u0000") == std::string::npos;
}

// Length of the UTF-8 sequence that starts here; 0: none does.
std::size_t sequence_length(std::string_view rest) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(rest[i]); };
  const auto continued = [&](std::size_t n) {
    if (rest.size() < n) return false;
    for (std::size_t i = 1; i < n; ++i) {
      if ((byte(i) & 0xC0) != 0x80) return false;
    }
    return true;
  };
  const auto first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first < 0xE0) return continued(2) ? 2 : 0;
  if (first >= 0xE0 && first < 0xF0) {
    if (!continued(3)) return 0;
    const bool overlong = first == 0xE0 && byte(1) < 0xA0;
    const bool surrogate = first == 0xED && byte(1) >= 0xA0;
    return overlong || surrogate ? 0 : 3;
  }
  if (first >= 0xF0 && first < 0xF5) {
    if (!continued(4)) return 0;
    const bool overlong = first == 0xF0 && byte(1) < 0x90;
    const bool beyond = first == 0xF4 && byte(1) >= 0x90;
    return overlong || beyond ? 0 : 4;
  }
  return 0;
}

}  // namespace

Verdict Judge::judge(const JobRow& row, const KindPolicy& policy, const Outcome& outcome,
                     RunTimes times) {
  const JobKey key{row.at.id, row.token};
  return std::visit(
      core::Overloaded{[&](const Done& done) -> Verdict {
                         const bool keep = policy.history == History::kAll;
                         if (!keep && !row.unique_key && !row.batch) return key;
                         Finish finish{key,          std::nullopt, std::nullopt, std::nullopt,
                                       times.waited, times.ran,    std::nullopt};
                         if (keep) finish.outcome = "completed";
                         if (keep && !done.result.empty() && is_json(done.result))
                           finish.result = done.result;
                         if (row.unique_key && policy.unique_for > milliseconds(0)) {
                           finish.hold = policy.unique_for;
                         }
                         return finish;
                       },
                       [&](const Retry& retry) -> Verdict {
                         const int attempts = row.attempts + 1;
                         const int most = row.max_attempts.value_or(policy.max_attempts);
                         if (attempts >= most) {
                           return failure(row, attempts, milliseconds(0), AfterFailure::kDead,
                                          clean_text(retry.reason), times);
                         }
                         const auto delay = retry.after ? *retry.after : backoff(policy, attempts);
                         return failure(row, attempts, delay, AfterFailure::kWaiting,
                                        clean_text(retry.reason), times);
                       },
                       [&](const Snooze& snooze) -> Verdict {
                         return failure(row, row.attempts, snooze.delay, AfterFailure::kWaiting,
                                        std::nullopt, times);
                       },
                       [&](const Cancel& cancel) -> Verdict {
                         return Finish{
                             key,          "cancelled", std::nullopt, clean_text(cancel.reason),
                             times.waited, times.ran,   std::nullopt};
                       },
                       [&](const Dead& dead) -> Verdict {
                         return failure(row, row.attempts + 1, milliseconds(0), AfterFailure::kDead,
                                        clean_text(dead.reason), times);
                       }},
      outcome);
}

Verdict Judge::again(const JobRow& row, const std::string& reason, RunTimes times) {
  std::uniform_int_distribution<milliseconds::rep> pick(1, kSoon.count());
  return failure(row, row.attempts, milliseconds(pick(random_)), AfterFailure::kWaiting,
                 clean_text(reason), times);
}

milliseconds Judge::backoff(const KindPolicy& policy, int attempts) {
  const auto doublings = std::clamp(attempts - 1, 0, 30);
  const auto base = std::max<milliseconds::rep>(policy.backoff_base.count(), 1);
  const auto cap = std::max<milliseconds::rep>(policy.backoff_cap.count(), 1);
  const auto limit = base > (cap >> doublings) ? cap : base << doublings;
  std::uniform_int_distribution<milliseconds::rep> pick(1, limit);
  return milliseconds(pick(random_));
}

std::string_view outcome_name(const Outcome& outcome) {
  return std::visit(core::Overloaded{[](const Done&) { return "completed"; },
                                     [](const Retry&) { return "retry"; },
                                     [](const Snooze&) { return "snoozed"; },
                                     [](const Cancel&) { return "cancelled"; },
                                     [](const Dead&) { return "dead"; }},
                    outcome);
}

std::string clean_text(std::string_view text, std::size_t most) {
  std::string clean;
  while (!text.empty() && clean.size() < most) {
    const auto length = sequence_length(text);
    if (length == 0 || text.front() == '\0') {
      clean += '?';
      text.remove_prefix(1);
      continue;
    }
    if (clean.size() + length > most) break;
    clean.append(text.substr(0, length));
    text.remove_prefix(length);
  }
  return clean;
}

}  // namespace relevo::worker
