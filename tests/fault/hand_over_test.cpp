// A rolling restart under load: SIGTERM to one of two replicas.
#include <gtest/gtest.h>

#include <csignal>

#include "scenario.hpp"
#include "support/eventually.hpp"

namespace relevo::test {
namespace {

using namespace std::chrono_literals;

TEST(HandOver, OnSigtermUnderLoadSendsNothingTwice) {
  Scenario scenario;
  const auto leaving = scenario.relay("leaving");
  ASSERT_TRUE(scenario.wait_holds_all("leaving", 20s)) << leaving->process().standard_error();
  (void)scenario.load();
  const auto staying = scenario.relay("staying");
  ASSERT_TRUE(eventually(20s, [&] {
    const auto holders = scenario.holders();
    return holders.contains("leaving") && holders.contains("staying");
  })) << "a newcomer gets its share";
  ASSERT_TRUE(scenario.wait_progress(20s));

  leaving->process().signal(SIGTERM);
  const auto signalled = std::chrono::steady_clock::now();
  EXPECT_TRUE(eventually(
      1s, [&] { return !leaving->ready(); }, 5ms))
      << "still ready after a second";
  const auto exit = leaving->process().wait(25s);
  ASSERT_TRUE(exit) << "still running after the grace time";
  EXPECT_EQ(exit->code, 0) << leaving->process().standard_error();
  // So soon only by a hand-over: the end of the lease is far.
  EXPECT_TRUE(scenario.wait_holds_all("staying", 3s)) << "shards were not handed over";
  const auto took = std::chrono::steady_clock::now() - signalled;
  ASSERT_TRUE(scenario.wait_progress(20s));

  const auto verdict = scenario.finish(
      {staying.get()},
      {{"hand_over_ms",
        std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(took).count())}});
  EXPECT_EQ(verdict.duplicates, 0U);
}

TEST(HandOver, OfAllReplicasOneAfterTheOtherSendsNothingTwice) {
  constexpr int kGenerations = 5;
  Scenario scenario;
  (void)scenario.load();
  auto current = scenario.relay("generation-0");
  ASSERT_TRUE(scenario.wait_holds_all("generation-0", 20s)) << current->process().standard_error();
  for (int i = 1; i <= kGenerations; ++i) {
    const auto name = "generation-" + std::to_string(i);
    auto next = scenario.relay(name);
    ASSERT_TRUE(eventually(20s, [&] { return scenario.holders().contains(name); }))
        << next->process().standard_error();
    ASSERT_TRUE(scenario.wait_progress(20s));
    const auto exit = current->terminate();
    ASSERT_TRUE(exit && exit->code == 0) << current->process().standard_error();
    current = std::move(next);
    ASSERT_TRUE(scenario.wait_holds_all(name, 5s));
  }
  const auto verdict =
      scenario.finish({current.get()}, {{"restarts", std::to_string(kGenerations)}});
  EXPECT_EQ(verdict.duplicates, 0U);
}

}  // namespace
}  // namespace relevo::test
