#include "relevo/webhook/answer.hpp"

#include <string>

#include "relevo/webhook/result.hpp"
#include "relevo/webhook/retry_after.hpp"

namespace relevo::webhook {
namespace {

using Result = worker::CircuitBreaker::Result;

std::string reason_of(const HttpAnswer& answer) {
  auto reason = "HTTP " + std::to_string(answer.status);
  const auto line = first_line(answer.body);
  return line.empty() ? reason : reason + ": " + line;
}

Meaning no_answer(const HttpAnswer& answer) {
  // Asked for by relevo itself, at the end of the process or of the job: no attempt.
  if (answer.failure == HttpFailure::kGivenUp) {
    return {worker::snooze(std::chrono::milliseconds(0)), Trouble::kNone, {}, Result::kUnknown};
  }
  return {worker::retry(std::string(to_string(answer.failure)) + ": " + first_line(answer.detail)),
          answer.sent ? Trouble::kBroken : Trouble::kAway,
          {},
          Result::kFailure};
}

Meaning understood(worker::Outcome outcome) {
  return {std::move(outcome), Trouble::kNone, {}, Result::kSuccess};
}

Trouble trouble_of(int status) {
  switch (status) {
    case 429:
    case 503: return Trouble::kAway;
    case 502:
    case 504: return Trouble::kBroken;
    default: return status >= 500 ? Trouble::kError : Trouble::kNone;
  }
}

bool may_ask_to_wait(int status) {
  return status == 425 || status == 429 || (status >= 502 && status <= 504);
}

}  // namespace

Meaning meaning_of(const HttpAnswer& answer, core::WallTime now) {
  if (answer.failure != HttpFailure::kNone) return no_answer(answer);
  if (answer.status >= 200 && answer.status <= 299) {
    return understood(worker::done(answer.body_cut ? "" : json_result(answer.body).value_or("")));
  }
  if (answer.status == 409 || answer.status == 410) {
    return understood(worker::cancel(reason_of(answer)));
  }
  std::optional<std::chrono::milliseconds> wait;
  if (answer.retry_after && may_ask_to_wait(answer.status)) {
    wait = retry_after(*answer.retry_after, now);
  }
  const auto trouble = trouble_of(answer.status);
  return {worker::retry(reason_of(answer), wait), trouble, wait,
          trouble == Trouble::kNone ? Result::kSuccess : Result::kFailure};
}

}  // namespace relevo::webhook
