// The relay's own statement arrives late: its backend hangs, the relay gives the connection up, goes on with
// another one, and then the backend wakes up and runs what lay in its socket, with a lease that is still good.
#include <gtest/gtest.h>

#include <csignal>
#include <optional>

#include "scenario.hpp"
#include "support/eventually.hpp"

namespace relevo::test {
namespace {

using namespace std::chrono_literals;

// Stops the backend that last saved a position, between two transactions: inside one it would hold locks that
// stop everybody. What the relay sends it next lies in its socket. nullopt: not allowed to.
std::optional<pid_t> stop_saving_backend(Connection& connection) {
  std::optional<pid_t> stopped;
  bool allowed = true;
  (void)eventually(20s, [&] {
    const auto rows = connection.query(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND query ILIKE '%update relevo.position%' AND query ILIKE '%last_id%' LIMIT 1");
    if (rows.empty()) return false;
    const auto pid = static_cast<pid_t>(std::stol(*rows[0][0]));
    if (::kill(pid, SIGSTOP) != 0) {
      allowed = false;
      return true;
    }
    const auto idle = connection.number(
        "SELECT count(*) FROM pg_stat_activity WHERE pid = $1::int AND state = 'idle' AND wait_event = 'ClientRead'",
        {*rows[0][0]});
    if (idle == 0) {
      ::kill(pid, SIGCONT);
      return false;
    }
    stopped = pid;
    return true;
  }, 1ms);
  EXPECT_TRUE(stopped || !allowed) << "no backend was found that saves positions";
  return stopped;
}

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
    const auto backend = stop_saving_backend(connection);
    if (!backend) GTEST_SKIP() << "may not stop the server's processes";
    const bool went_on = scenario.wait_progress(15s);
    ::kill(*backend, SIGCONT);
    ASSERT_TRUE(went_on) << "the relay waits for a backend that hangs\n" << relay->process().standard_error();
    // It runs what it was sent, notices that nobody listens, and ends.
    ASSERT_TRUE(eventually(20s, [&] {
      return connection.number("SELECT count(*) FROM pg_stat_activity WHERE pid = $1::int",
                               {std::to_string(*backend)}) == 0;
    }));
  }
  EXPECT_LE(scenario.finish({relay.get()}, {{"hangs", std::to_string(kHangs)}}).duplicates,
            kHangs * Scenario::kAgainPerCrash);
}

}  // namespace
}  // namespace relevo::test
