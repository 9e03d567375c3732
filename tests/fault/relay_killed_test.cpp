// The relay process itself fails: killed, or stopped for longer than its lease and woken up again.
#include <gtest/gtest.h>

#include <csignal>
#include <random>

#include "scenario.hpp"
#include "support/eventually.hpp"

namespace relevo::test {
namespace {

using namespace std::chrono_literals;

TEST(RelayKilled, TenTimesAtRandomLosesNothing) {
  constexpr int kKills = 10;
  Scenario scenario;
  auto& load = scenario.load();
  std::mt19937_64 random(load.seed());
  std::uniform_int_distribution<int> moment(0, 400);

  for (int i = 0; i < kKills; ++i) {
    const auto name = "victim-" + std::to_string(i);
    auto relay = scenario.relay(name, Scenario::short_lease());
    ASSERT_TRUE(scenario.wait_holds_all(name, 20s)) << relay->process().standard_error();
    ASSERT_TRUE(scenario.wait_progress(20s)) << relay->process().standard_error();
    // Any moment between two saves: nothing to wait for.
    (void)relay->process().wait(std::chrono::milliseconds(moment(random)));
    ASSERT_TRUE(relay->process().running()) << relay->process().standard_error();
    relay->process().kill();
    ASSERT_EQ(relay->process().wait(0ms)->signal, SIGKILL);
  }

  auto survivor = scenario.relay("survivor", Scenario::short_lease());
  ASSERT_TRUE(scenario.wait_holds_all("survivor", 20s));
  const auto verdict = scenario.finish({survivor.get()}, {{"kills", std::to_string(kKills)}});
  EXPECT_GT(verdict.duplicates, 0U) << "no kill hit a relay with work under way";
  EXPECT_LE(verdict.duplicates, kKills * Scenario::kAgainPerCrash);
}

TEST(RelayStopped, LongerThanItsLeaseWakesUpAndChangesNothing) {
  constexpr int kPauses = 3;
  Scenario scenario;
  const auto zombie = scenario.relay("zombie", Scenario::short_lease());
  ASSERT_TRUE(scenario.wait_holds_all("zombie", 20s)) << zombie->process().standard_error();
  const auto other = scenario.relay("other", Scenario::short_lease());
  const auto both_hold = [&] {
    const auto holders = scenario.holders();
    return holders.contains("zombie") && holders.contains("other");
  };
  (void)scenario.load();

  for (int i = 0; i < kPauses; ++i) {
    ASSERT_TRUE(eventually(20s, both_hold));
    ASSERT_TRUE(scenario.wait_progress(20s));
    const auto log_before = zombie->process().standard_error().size();
    zombie->process().signal(SIGSTOP);
    ASSERT_TRUE(scenario.wait_holds_all("other", 15s)) << "the successor did not take over";
    ASSERT_TRUE(scenario.wait_progress(20s));
    zombie->process().signal(SIGCONT);
    // By its own clock, or because the database refused its save.
    ASSERT_TRUE(eventually(10s,
                           [&] {
                             return zombie->process().find_line("lease lost", log_before) ||
                                    zombie->process().find_line("fenced", log_before);
                           }))
        << "the zombie did not notice\n"
        << zombie->process().standard_error();
  }

  ASSERT_TRUE(eventually(20s, both_hold)) << "the zombie did not come back as a good replica";
  const auto verdict =
      scenario.finish({zombie.get(), other.get()}, {{"pauses", std::to_string(kPauses)}});
  EXPECT_LE(verdict.duplicates, kPauses * Scenario::kAgainPerCrash);
}

}  // namespace
}  // namespace relevo::test
