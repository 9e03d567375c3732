#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "relevo/webhook/answer.hpp"
#include "support/webhook_fakes.hpp"

namespace relevo::webhook {
namespace {

using namespace std::chrono_literals;
using Result = worker::CircuitBreaker::Result;

constexpr core::WallTime kNow{784111777s};

HttpAnswer answered(int status, std::string body = "", std::optional<std::string> wait = {}) {
  HttpAnswer answer;
  answer.failure = HttpFailure::kNone;
  answer.sent = true;
  answer.status = status;
  answer.body = std::move(body);
  answer.retry_after = std::move(wait);
  return answer;
}

HttpAnswer failed(HttpFailure failure, bool sent) {
  HttpAnswer answer;
  answer.failure = failure;
  answer.sent = sent;
  answer.detail = "as it was";
  return answer;
}

TEST(HttpAnswer, MeansAnOutcome) {
  struct Case {
    HttpAnswer answer;
    std::string outcome;
    Trouble trouble;
    Result result;
  };
  using enum Trouble;
  constexpr auto kSuccess = Result::kSuccess;
  constexpr auto kFailure = Result::kFailure;
  const std::vector<Case> cases{
      {answered(200), "done ", kNone, kSuccess},
      {answered(200, R"({"sent": 3})"), R"(done {"sent": 3})", kNone, kSuccess},
      {answered(200, "fine"), "done ", kNone, kSuccess},
      {answered(204), "done ", kNone, kSuccess},
      {answered(299, "1"), "done 1", kNone, kSuccess},
      {answered(301, "", "5"), "retry HTTP 301", kNone, kSuccess},
      {answered(304), "retry HTTP 304", kNone, kSuccess},
      {answered(400, "bad\nmore"), "retry HTTP 400: bad", kNone, kSuccess},
      {answered(401), "retry HTTP 401", kNone, kSuccess},
      {answered(404, "", "5"), "retry HTTP 404", kNone, kSuccess},
      {answered(409, "already\r\nshipped"), "cancel HTTP 409: already", kNone, kSuccess},
      {answered(410), "cancel HTTP 410", kNone, kSuccess},
      {answered(422, "no such order"), "retry HTTP 422: no such order", kNone, kSuccess},
      {answered(425, "", "2"), "retry HTTP 425 after 2000", kNone, kSuccess},
      {answered(429, "", "30"), "retry HTTP 429 after 30000", kAway, kFailure},
      {answered(429), "retry HTTP 429", kAway, kFailure},
      {answered(500, "", "30"), "retry HTTP 500", kError, kFailure},
      {answered(501), "retry HTTP 501", kError, kFailure},
      {answered(502, "", "1"), "retry HTTP 502 after 1000", kBroken, kFailure},
      {answered(503, "", "Sun, 06 Nov 1994 08:50:37 GMT"), "retry HTTP 503 after 60000", kAway,
       kFailure},
      {answered(503, "", "soon"), "retry HTTP 503", kAway, kFailure},
      {answered(503, "", "99999999999"), "retry HTTP 503 after 86400000", kAway, kFailure},
      {answered(504), "retry HTTP 504", kBroken, kFailure},
      {answered(999), "retry HTTP 999", kError, kFailure},
      {failed(HttpFailure::kAddressRefused, false), "retry address_refused: as it was", kAway,
       kFailure},
      {failed(HttpFailure::kResolve, false), "retry resolve: as it was", kAway, kFailure},
      {failed(HttpFailure::kConnect, false), "retry connect: as it was", kAway, kFailure},
      {failed(HttpFailure::kTls, false), "retry tls: as it was", kAway, kFailure},
      {failed(HttpFailure::kTimeout, false), "retry timeout: as it was", kAway, kFailure},
      {failed(HttpFailure::kTimeout, true), "retry timeout: as it was", kBroken, kFailure},
      {failed(HttpFailure::kReset, true), "retry reset: as it was", kBroken, kFailure},
      {failed(HttpFailure::kProtocol, true), "retry protocol: as it was", kBroken, kFailure},
      {failed(HttpFailure::kGivenUp, true), "snooze", kNone, Result::kUnknown}};
  for (const auto& c : cases) {
    const auto meaning = meaning_of(c.answer, kNow);
    EXPECT_EQ(test::describe(meaning.outcome), c.outcome);
    EXPECT_EQ(meaning.trouble, c.trouble) << c.outcome;
    EXPECT_EQ(meaning.result, c.result) << c.outcome;
  }
}

TEST(HttpAnswer, WhoseBodyWasCutHasNoResult) {
  auto answer = answered(200, "123");
  answer.body_cut = true;
  EXPECT_EQ(test::describe(meaning_of(answer, kNow).outcome), "done ");
}

}  // namespace
}  // namespace relevo::webhook
