// Rare events in the life of a cluster: its transaction counter passes 2^32, and it moves to
// another version.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "scenario.hpp"
#include "support/eventually.hpp"
#include "support/postgres_server.hpp"

namespace relevo::test {
namespace {

using namespace std::chrono_literals;

TEST(ClusterHistory, TransactionIdsBeyondThirtyTwoBitsLoseNothing) {
  OwnPostgres postgres({"autovacuum=off", "fsync=off"});
  Scenario scenario({postgres.url(), shared_servers().kafka});
  auto relay = scenario.relay("before");
  {
    auto connection = scenario.connect();
    publish_many(connection, "order", "o", scenario.topic("order"), 1, 100, 3);
    ASSERT_TRUE(scenario.wait_progress(20s)) << relay->process().standard_error();
    ASSERT_TRUE(relay->terminate());
    publish_many(connection, "order", "o", scenario.topic("order"), 101, 100, 3);
    // All rows frozen: the jump leaves no old xid behind that would look like one of the future.
    connection.exec("UPDATE pg_database SET datallowconn = true");
    for (const auto& row : connection.query("SELECT datname FROM pg_database")) {
      Connection(with_database(postgres.url(), *row[0])).exec("VACUUM FREEZE");
    }
  }
  postgres.stop();
  postgres.run_tool("pg_resetwal",
                    {"-u", "4200000000", "-x", "4294967200", postgres.data_directory()});
  {
    // The page of the commit log in which the new counter lies.
    const auto segment = postgres.data_directory() + "/pg_xact/0FFF";
    std::ofstream(segment, std::ios::binary) << std::string(256 * 1024, '\0');
    std::filesystem::permissions(segment, std::filesystem::perms::all);
  }
  postgres.start();

  auto connection = scenario.connect();
  const auto xid = [&] {
    return std::stoull(connection.value("SELECT pg_snapshot_xmax(pg_current_snapshot())::text"));
  };
  ASSERT_LT(xid(), 1ULL << 32);
  auto across = scenario.connect();
  across.exec("BEGIN");
  publish_many(across, "order", "across", scenario.topic("order"), 1, 5, 1);
  relay = scenario.relay("after");
  ASSERT_TRUE(relay->wait_ready()) << relay->process().standard_error();
  (void)scenario.load();
  ASSERT_TRUE(eventually(20s, [&] { return xid() > (1ULL << 32) + 200; }));
  across.exec("COMMIT");
  ASSERT_TRUE(scenario.wait_progress(20s)) << relay->process().standard_error();
  EXPECT_EQ(scenario.finish({relay.get()}).duplicates, 0U);
}

TEST(ClusterHistory, AnUpgradeLosesNothing) {
  OwnPostgres postgres({"fsync=off"});
  Scenario scenario({postgres.url(), shared_servers().kafka});
  auto relay = scenario.relay("before");
  std::string identifier;
  {
    auto connection = scenario.connect();
    publish_many(connection, "order", "o", scenario.topic("order"), 1, 100, 3);
    ASSERT_TRUE(scenario.wait_progress(20s)) << relay->process().standard_error();
    ASSERT_TRUE(relay->terminate());
    publish_many(connection, "order", "o", scenario.topic("order"), 101, 100, 3);
    identifier = connection.value("SELECT system_identifier::text FROM pg_control_system()");
  }
  postgres.stop();
  const auto old_data = postgres.directory() + "/old";
  const auto& data = postgres.data_directory();
  std::filesystem::rename(data, old_data);
  postgres.run_tool("initdb", {"-D", data, "-U", "postgres", "--auth=trust", "-E", "UTF8",
                               "--locale=C.UTF-8", "--no-sync"});
  postgres.run_tool("pg_upgrade",
                    {"-b", postgres.program_directory(), "-B", postgres.program_directory(), "-d",
                     old_data, "-D", data, "-U", "postgres", "-s", postgres.directory()});
  std::filesystem::copy_file(old_data + "/postgresql.conf", data + "/postgresql.conf",
                             std::filesystem::copy_options::overwrite_existing);
  postgres.start();

  auto connection = scenario.connect();
  ASSERT_NE(connection.value("SELECT system_identifier::text FROM pg_control_system()"),
            identifier);
  publish_many(connection, "order", "o", scenario.topic("order"), 201, 100, 3);
  relay = scenario.relay("after");
  ASSERT_TRUE(scenario.wait_progress(20s)) << relay->process().standard_error();
  EXPECT_EQ(scenario.finish({relay.get()}).duplicates, 0U);
}

}  // namespace
}  // namespace relevo::test
