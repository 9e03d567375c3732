// What becomes of a row, for each thing that a handler can say.
#include "relevo/worker/verdict.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

namespace relevo::worker {
namespace {

using namespace std::chrono_literals;

JobRow row_of(int attempts = 0) {
  JobRow row;
  row.at = {10, 7};
  row.token = 3;
  row.attempts = attempts;
  return row;
}

const RunTimes kTimes{20ms, 30ms};

template <class Kind>
Kind judged(const JobRow& row, const KindPolicy& policy, const Outcome& outcome) {
  Judge judge(1);
  const auto verdict = judge.judge(row, policy, outcome, kTimes);
  EXPECT_TRUE(std::holds_alternative<Kind>(verdict));
  return std::holds_alternative<Kind>(verdict) ? std::get<Kind>(verdict) : Kind{};
}

TEST(WorkerVerdict, LeavesNoTraceOfASuccessOnlyWhereNothingIsOwed) {
  KindPolicy quiet;
  quiet.history = History::kFailures;
  EXPECT_EQ(judged<JobKey>(row_of(), quiet, done()), (JobKey{7, 3}));
  auto unique = row_of();
  unique.unique_key = "only";
  EXPECT_FALSE(judged<Finish>(unique, quiet, done()).outcome);
  auto in_batch = row_of();
  in_batch.batch = 5;
  EXPECT_FALSE(judged<Finish>(in_batch, quiet, done()).outcome);
  EXPECT_EQ(judged<Finish>(row_of(), {}, done()).outcome, "completed");
}

TEST(WorkerVerdict, HoldsAUniqueKeyWithOrWithoutHistory) {
  auto row = row_of();
  row.unique_key = "only";
  KindPolicy policy;
  policy.unique_for = 5s;
  EXPECT_EQ(judged<Finish>(row, policy, done()).hold, 5s);
  policy.history = History::kFailures;
  EXPECT_EQ(judged<Finish>(row, policy, done()).hold, 5s);
  EXPECT_FALSE(judged<Finish>(row_of(), {}, done()).hold);
}

TEST(WorkerVerdict, KeepsAResultOnlyWhenPostgresTakesIt) {
  const auto result = [](std::string text) {
    return judged<Finish>(row_of(), {}, done(std::move(text))).result;
  };
  EXPECT_EQ(result(R"({"sent":1})"), R"({"sent":1})");
  EXPECT_FALSE(result(""));
  EXPECT_FALSE(result("{"));
  EXPECT_FALSE(result(R"("\u0000")"));
  EXPECT_FALSE(result("\"\xff\""));
  EXPECT_FALSE(result("\"" + std::string(70'000, 'a') + "\""));
}

TEST(WorkerVerdict, CountsAttemptsUntilTheLast) {
  KindPolicy policy;
  policy.max_attempts = 3;
  EXPECT_EQ(judged<Failure>(row_of(1), policy, retry("no")).then, AfterFailure::kWaiting);
  const auto last = judged<Failure>(row_of(2), policy, retry("no"));
  EXPECT_EQ(last.then, AfterFailure::kDead);
  EXPECT_EQ(last.attempts, 3);
  EXPECT_EQ(last.error, "no");
  auto own = row_of(2);
  own.max_attempts = 5;  // the job's own number goes first
  EXPECT_EQ(judged<Failure>(own, policy, retry("no")).then, AfterFailure::kWaiting);
  EXPECT_EQ(judged<Failure>(row_of(0), policy, dead("never")).then, AfterFailure::kDead);
  EXPECT_EQ(judged<Finish>(row_of(0), policy, cancel("not wanted")).outcome, "cancelled");
}

TEST(WorkerVerdict, SnoozesAndTriesAgainWithoutCounting) {
  const auto snoozed = judged<Failure>(row_of(2), {}, snooze(5s));
  EXPECT_EQ(snoozed.attempts, 2);
  EXPECT_EQ(snoozed.delay, 5s);
  EXPECT_FALSE(snoozed.error);
  Judge judge(1);
  const auto again = std::get<Failure>(judge.again(row_of(2), "lost", kTimes));
  EXPECT_EQ(again.attempts, 2);
  EXPECT_EQ(again.error, "lost");
  EXPECT_GT(again.delay, 0ms);
}

TEST(WorkerVerdict, TellsThatAnAttemptNeverBegan) {
  Judge judge(1);
  const auto finish = [&](RunTimes times) {
    return std::get<Finish>(judge.judge(row_of(), {}, cancel("expired"), times));
  };
  EXPECT_FALSE(finish({20ms, std::nullopt}).ran);
  EXPECT_EQ(finish({20ms, std::nullopt}).waited, 20ms);
  EXPECT_EQ(finish({20ms, 0ms}).ran, 0ms);
  EXPECT_EQ(std::get<Failure>(judge.again(row_of(), "lost", {20ms, std::nullopt})).ran, 0ms);
}

// What PostgreSQL refuses would bury the job.
TEST(WorkerVerdict, StaysWithinWhatTheTableTakes) {
  const auto forever = std::chrono::milliseconds::max();
  for (const auto& outcome : {snooze(forever), retry("no", forever)}) {
    const auto failure = judged<Failure>(row_of(), {}, outcome);
    EXPECT_LE(failure.delay, std::chrono::hours(24 * 36'500));
  }
  EXPECT_EQ(judged<Failure>(row_of(), {}, snooze(-1s)).delay, 0ms);
  auto patient = row_of(std::numeric_limits<std::int16_t>::max());
  patient.max_attempts = std::numeric_limits<int>::max();
  EXPECT_EQ(judged<Failure>(patient, {}, retry("no")).attempts,
            std::numeric_limits<std::int16_t>::max());
}

RC_GTEST_PROP(WorkerVerdictProperty, BacksOffWithinItsBounds, (std::uint32_t seed)) {
  Judge judge(seed);
  KindPolicy policy;
  policy.backoff_base = std::chrono::milliseconds(*rc::gen::inRange<std::int64_t>(-5, 1'000'000));
  policy.backoff_cap =
      std::chrono::milliseconds(*rc::gen::inRange<std::int64_t>(-5, 1'000'000'000'000));
  const auto attempts = *rc::gen::arbitrary<int>();
  const auto delay = judge.backoff(policy, attempts);
  RC_ASSERT(delay >= 1ms);
  RC_ASSERT(delay <= std::max(policy.backoff_cap, 1ms));
  if (attempts <= 1) RC_ASSERT(delay <= std::max(policy.backoff_base, 1ms));
}

RC_GTEST_PROP(WorkerVerdictProperty, WritesOnlyTextThatPostgresTakes,
              (std::vector<std::uint8_t> bytes)) {
  const std::string text(bytes.begin(), bytes.end());
  const std::size_t most = *rc::gen::inRange<std::size_t>(0, 20);
  const auto clean = clean_text(text, most);
  RC_ASSERT(clean.size() <= most);
  RC_ASSERT(clean.find('\0') == std::string::npos);
  RC_ASSERT_FALSE(
      nlohmann::json(clean).dump(-1, ' ', true, nlohmann::json::error_handler_t::ignore).empty());
  RC_ASSERT(nlohmann::json::accept("\"" + nlohmann::json(clean).dump().substr(1)));
  RC_ASSERT(clean_text(clean, most) == clean);
}

TEST(WorkerVerdict, KeepsGoodTextAsItIs) {
  EXPECT_EQ(clean_text("żółć 💡"), "żółć 💡");
  EXPECT_EQ(clean_text(std::string_view("a\0b", 3)), "a?b");
  EXPECT_EQ(clean_text("a\xed\xa0\x80z"), "a???z");  // a surrogate
  EXPECT_EQ(clean_text("a\xc0\xafz"), "a??z");       // overlong
  EXPECT_EQ(clean_text("ab\xc5", 10), "ab?");        // cut off
  EXPECT_EQ(clean_text("abż", 3), "ab");             // never half a character
}

}  // namespace
}  // namespace relevo::worker
