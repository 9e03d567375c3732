#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "relevo/worker/circuit_breaker.hpp"

namespace relevo::worker {
namespace {

using namespace std::chrono_literals;
using State = CircuitBreaker::State;
using Result = CircuitBreaker::Result;

constexpr core::BootTime kStart{1000h};

std::string_view to_string(State state) {
  switch (state) {
    case State::kClosed: return "closed";
    case State::kHalfOpen: return "half_open";
    case State::kOpen: return "open";
  }
  return "?";
}

// Calls one after the other: + success, - failure, ? given up.
void play(CircuitBreaker& breaker, std::string_view calls, core::BootTime now) {
  for (const char call : calls) {
    const auto permit = breaker.admit(now);
    ASSERT_TRUE(permit) << calls;
    breaker.finished(*permit,
                     call == '+'   ? Result::kSuccess
                     : call == '-' ? Result::kFailure
                                   : Result::kUnknown,
                     now);
  }
}

TEST(CircuitBreaker, OpensAfterFailuresInARow) {
  struct Case {
    std::string_view calls;
    State state;
  };
  for (const auto& c : std::vector<Case>{{"", State::kClosed},
                                         {"----", State::kClosed},
                                         {"-----", State::kOpen},
                                         {"----+----", State::kClosed},
                                         {"----+-----", State::kOpen},
                                         {"----?-", State::kOpen},
                                         {"----?", State::kClosed},
                                         {"??????????", State::kClosed}}) {
    CircuitBreaker breaker({}, 1);
    play(breaker, c.calls, kStart);
    EXPECT_EQ(to_string(breaker.state(kStart)), to_string(c.state)) << c.calls;
    EXPECT_EQ(breaker.admits(kStart), c.state == State::kClosed) << c.calls;
  }
}

TEST(CircuitBreaker, LetsOneProbeThroughAfterAWhile) {
  CircuitBreaker breaker({}, 1);
  play(breaker, "-----", kStart);
  EXPECT_FALSE(breaker.admit(kStart + 499ms));
  const auto later = kStart + 1s;
  EXPECT_EQ(breaker.state(later), State::kHalfOpen);
  const auto probe = breaker.admit(later);
  ASSERT_TRUE(probe);
  EXPECT_TRUE(probe->probe);
  EXPECT_FALSE(breaker.admit(later)) << "a second call beside the probe";
  EXPECT_FALSE(breaker.admit(later + 1h));
  breaker.finished(*probe, Result::kSuccess, later);
  EXPECT_EQ(breaker.state(later), State::kClosed);
  EXPECT_TRUE(breaker.admit(later));
  EXPECT_TRUE(breaker.admit(later));
}

TEST(CircuitBreaker, AProbeThatWasGivenUpMakesRoomForAnother) {
  CircuitBreaker breaker({}, 1);
  play(breaker, "-----", kStart);
  const auto later = kStart + 1s;
  breaker.finished(breaker.admit(later).value(), Result::kUnknown, later);
  EXPECT_EQ(breaker.state(later), State::kHalfOpen);
  EXPECT_TRUE(breaker.admit(later));
}

// The time a breaker stays open after each failed probe in turn.
std::vector<CircuitBreaker::Duration> open_times(std::uint64_t seed, int probes) {
  CircuitBreaker breaker({}, seed);
  auto now = kStart;
  play(breaker, "-----", now);
  std::vector<CircuitBreaker::Duration> times;
  for (int i = 0; i < probes; ++i) {
    const auto opened = now;
    while (!breaker.admits(now)) now += 1ms;
    times.push_back(std::chrono::duration_cast<CircuitBreaker::Duration>(now - opened));
    breaker.finished(breaker.admit(now).value(), Result::kFailure, now);
  }
  return times;
}

TEST(CircuitBreaker, ProbesAtDoublingIntervalsWithJitterUpToACap) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    auto longest = 1000ms;
    for (const auto time : open_times(seed, 10)) {
      EXPECT_GE(time, longest / 2);
      EXPECT_LE(time, longest);
      longest = std::min<std::chrono::milliseconds>(longest * 2, 60s);
    }
  }
  EXPECT_NE(open_times(1, 5), open_times(2, 5)) << "replicas would probe in step";
}

TEST(CircuitBreaker, AnOutageOfTenMinutesIsProbedSeldom) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    CircuitBreaker breaker({}, seed);
    int calls = 0;
    for (auto now = kStart; now < kStart + 10min; now += 10ms) {
      const auto permit = breaker.admit(now);
      if (!permit) continue;
      ++calls;
      breaker.finished(*permit, Result::kFailure, now);
    }
    EXPECT_LE(calls, 5 + 27) << seed;
    auto now = kStart + 10min;
    while (!breaker.admits(now)) now += 10ms;
    EXPECT_LE(now, kStart + 11min);
  }
}

TEST(CircuitBreaker, ClosingForgetsTheOpeningsBefore) {
  CircuitBreaker breaker({}, 1);
  auto now = kStart;
  play(breaker, "-----", now);
  for (int i = 0; i < 6; ++i) play(breaker, "-", now += 60s);
  play(breaker, "+-----", now += 60s);
  EXPECT_EQ(breaker.state(now + 1s), State::kHalfOpen);
}

TEST(CircuitBreaker, StaysOpenAsLongAsTheOtherSideAsks) {
  struct Case {
    CircuitBreaker::Duration asked, least, most;
  };
  for (const auto& c : std::vector<Case>{
           {0ms, 500ms, 1s}, {30s, 30s, 31s}, {24h, 15min, 15min + 1s}, {1ms, 500ms, 1001ms}}) {
    CircuitBreaker breaker({}, 7);
    play(breaker, "----", kStart);
    breaker.finished(breaker.admit(kStart).value(), Result::kFailure, kStart, c.asked);
    EXPECT_EQ(breaker.state(kStart + c.least - 1ms), State::kOpen) << c.asked.count();
    EXPECT_EQ(breaker.state(kStart + c.most), State::kHalfOpen) << c.asked.count();
  }
}

TEST(CircuitBreaker, CallsFromBeforeAChangeNoLongerCount) {
  CircuitBreaker breaker({}, 1);
  const auto early = breaker.admit(kStart).value();
  const auto another = breaker.admit(kStart).value();
  play(breaker, "-----", kStart);
  breaker.finished(early, Result::kSuccess, kStart);
  EXPECT_EQ(breaker.state(kStart), State::kOpen) << "closed by an answer from before the outage";
  play(breaker, "+----", kStart + 1s);
  breaker.finished(another, Result::kFailure, kStart + 1s);
  EXPECT_EQ(breaker.state(kStart + 1s), State::kClosed) << "a failure from the last outage counted";
}

TEST(CircuitBreaker, SendsAwayUntilItMayBeTriedAgainAndNotAllAtOnce) {
  CircuitBreaker breaker({}, 1);
  play(breaker, "----", kStart);
  breaker.finished(breaker.admit(kStart).value(), Result::kFailure, kStart, 40s);
  std::vector<CircuitBreaker::Duration> pauses;
  for (int i = 0; i < 100; ++i) pauses.push_back(breaker.pause(kStart));
  const auto [least, most] = std::minmax_element(pauses.begin(), pauses.end());
  EXPECT_GE(*least, 40s);
  EXPECT_LE(*most, 41s * 3 / 2);
  EXPECT_GT(*most - *least, 10s);
  EXPECT_GE(breaker.pause(kStart + 1h), 1s) << "while the probe is under way";
}

}  // namespace
}  // namespace relevo::worker
