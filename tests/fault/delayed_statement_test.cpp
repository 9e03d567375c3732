// The relay's own statement arrives late: its backend hangs, the relay gives the connection up,
// goes on with another one, and then the backend wakes up and runs what lay in its socket, with a
// lease that is still good.
#include <gtest/gtest.h>

#include <csignal>
#include <optional>

#include "scenario.hpp"
#include "support/eventually.hpp"

namespace relevo::test {
namespace {

using namespace std::chrono_literals;

// The backend that saves positions, seen at it.
std::optional<std::string> find_saving_backend(Connection& connection) {
  std::optional<std::string> pid;
  (void)eventually(
      20s,
      [&] {
        const auto rows = connection.query(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> "
            "pg_backend_pid() "
            "AND query ILIKE '%update relevo.position%' AND query ILIKE '%last_id%' LIMIT 1");
        if (!rows.empty()) pid = rows[0][0];
        return pid.has_value();
      },
      1ms);
  return pid;
}

// Stops it between two transactions: inside one it would hold locks that stop everybody. What it is
// sent next lies in its socket. False: not allowed to stop it.
bool stop_between_transactions(Connection& connection, const std::string& pid) {
  const auto backend = static_cast<pid_t>(std::stol(pid));
  bool allowed = true;
  EXPECT_TRUE(eventually(
      20s,
      [&] {
        allowed = ::kill(backend, SIGSTOP) == 0;
        if (!allowed) return true;
        const bool idle = connection.number(
                              "SELECT count(*) FROM pg_stat_activity WHERE pid = $1::int "
                              "AND state = 'idle' AND wait_event = 'ClientRead'",
                              {pid}) == 1;
        if (!idle) ::kill(backend, SIGCONT);
        return idle;
      },
      1ms));
  return allowed;
}

TEST(DelayedStatement, OfAConnectionGivenUpChangesNothing) {
  constexpr int kHangs = 4;
  Scenario scenario;
  const auto relay = scenario.relay("relay", {{"RELEVO_RELAY_LEASE_TTL", "60s"},
                                              {"RELEVO_DATABASE_STATEMENT_TIMEOUT", "1s"},
                                              {"RELEVO_RELAY_SAVE_INTERVAL", "20ms"}});
  ASSERT_TRUE(relay->wait_ready()) << relay->process().standard_error();
  (void)scenario.load();
  auto connection = scenario.connect();

  for (int i = 0; i < kHangs; ++i) {
    ASSERT_TRUE(scenario.wait_progress(20s)) << relay->process().standard_error();
    const auto log_before = relay->process().standard_error().size();
    const auto pid = find_saving_backend(connection);
    ASSERT_TRUE(pid);
    if (!stop_between_transactions(connection, *pid))
      GTEST_SKIP() << "may not stop the server's processes";
    const bool went_on = scenario.wait_progress(15s);
    ::kill(static_cast<pid_t>(std::stol(*pid)), SIGCONT);
    ASSERT_TRUE(went_on) << "the relay waits for a backend that hangs\n"
                         << relay->process().standard_error();
    EXPECT_TRUE(relay->process().find_line("no answer within", log_before))
        << "nothing was sent to it";
    // It runs what it was sent, notices that nobody listens, and ends.
    ASSERT_TRUE(eventually(20s, [&] {
      return connection.number("SELECT count(*) FROM pg_stat_activity WHERE pid = $1::int",
                               {*pid}) == 0;
    }));
  }
  EXPECT_LE(scenario.finish({relay.get()}, {{"hangs", std::to_string(kHangs)}}).duplicates,
            kHangs * Scenario::kAgainPerCrash);
}

}  // namespace
}  // namespace relevo::test
