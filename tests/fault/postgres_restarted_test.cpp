// PostgreSQL crashes under load. Its own cluster: nobody else's connections break.
#include <gtest/gtest.h>

#include "scenario.hpp"
#include "support/eventually.hpp"
#include "support/postgres_server.hpp"

namespace relevo::test {
namespace {

using namespace std::chrono_literals;

TEST(PostgresRestarted, ImmediatelyUnderLoadLosesNothing) {
  constexpr int kRestarts = 3;
  OwnPostgres postgres;
  Scenario scenario({postgres.url(), shared_servers().kafka});
  const auto relay = scenario.relay("relay");
  ASSERT_TRUE(relay->wait_ready()) << relay->process().standard_error();
  auto& load = scenario.load();

  for (int i = 0; i < kRestarts; ++i) {
    ASSERT_TRUE(scenario.wait_progress(20s)) << relay->process().standard_error();
    const auto pid = postgres.postmaster();
    const auto lost_before = load.connections_lost();
    postgres.restart_immediate();
    ASSERT_NE(postgres.postmaster(), pid);
    ASSERT_TRUE(eventually(10s, [&] { return load.connections_lost() > lost_before; }));
    ASSERT_TRUE(relay->process().running()) << relay->process().standard_error();
    ASSERT_TRUE(relay->wait_ready()) << relay->process().standard_error();
  }

  ASSERT_TRUE(scenario.wait_progress(20s));
  const auto verdict = scenario.finish({relay.get()}, {{"restarts", std::to_string(kRestarts)}});
  EXPECT_LE(verdict.duplicates, kRestarts * Scenario::kAgainPerCrash);
}

}  // namespace
}  // namespace relevo::test
