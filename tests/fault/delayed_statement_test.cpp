// The relay's own statement arrives late: its backend hangs, the relay gives the connection up, goes on with
// another one, and then the backend wakes up and runs what lay in its socket, with a lease that is still good.
#include <gtest/gtest.h>

#include <csignal>

#include "scenario.hpp"
#include "support/eventually.hpp"

namespace relevo::test {
namespace {

using namespace std::chrono_literals;

TEST(DelayedStatement, OfAConnectionGivenUpChangesNothing) {
  constexpr int kHangs = 4;
  Scenario scenario;
  const auto relay = scenario.relay(
      "relay", {{"RELEVO_RELAY_LEASE_TTL", "60s"}, {"RELEVO_DATABASE_STATEMENT_TIMEOUT", "1s"},
                {"RELEVO_RELAY_SAVE_INTERVAL", "20ms"}});
  ASSERT_TRUE(relay->wait_ready()) << relay->process().standard_error();
  (void)scenario.load();
  auto connection = scenario.connect();

  for (int i = 0; i < kHangs; ++i) {
    ASSERT_TRUE(scenario.wait_progress(20s)) << relay->process().standard_error();
    // Whichever backend of the relay just saved; it will be asked to again.
    std::string pid;
    ASSERT_TRUE(eventually(20s, [&] {
      const auto rows = connection.query(
          "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
          "AND query ILIKE '%update relevo.position%' AND query ILIKE '%last_id%' LIMIT 1");
      if (rows.empty()) return false;
      pid = *rows[0][0];
      return true;
    }, 1ms));
    const auto backend = static_cast<pid_t>(std::stol(pid));
    if (::kill(backend, SIGSTOP) != 0) GTEST_SKIP() << "may not stop the server's processes";
    const bool went_on = scenario.wait_progress(15s);
    ::kill(backend, SIGCONT);
    ASSERT_TRUE(went_on) << "the relay waits for a backend that hangs\n" << relay->process().standard_error();
    // It runs what it was sent, notices that nobody listens, and ends.
    ASSERT_TRUE(eventually(20s, [&] {
      return connection.number("SELECT count(*) FROM pg_stat_activity WHERE pid = $1::int", {pid}) == 0;
    }));
  }
  EXPECT_LE(scenario.finish({relay.get()}, {{"hangs", std::to_string(kHangs)}}).duplicates,
            kHangs * Scenario::kAgainPerCrash);
}

}  // namespace
}  // namespace relevo::test
