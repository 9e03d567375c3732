// Ticks must contain each other, whoever takes them, and a ticker that dies holds nobody up.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "scenario.hpp"
#include "support/eventually.hpp"
#include "support/postgres_server.hpp"

namespace relevo::test {
namespace {

using namespace std::chrono_literals;

TEST(TickerHazards, TicksOfConcurrentTickersContainEachOther) {
  constexpr int kTickers = 6;
  Scenario scenario;
  LoadOptions options;
  options.longest_pause = 4ms;
  options.long_transactions = 0;
  auto& load = scenario.load(options);
  std::atomic<bool> stop{false};
  std::atomic<int> taken{0};
  std::atomic<int> refused{0};
  std::vector<std::thread> tickers;
  for (int i = 0; i < kTickers; ++i) {
    tickers.emplace_back([&] {
      auto connection = scenario.connect();
      while (!stop)
        ++(connection.query("SELECT id FROM relevo.next_tick()")[0][0] ? taken : refused);
    });
  }
  auto connection = scenario.connect();
  EXPECT_TRUE(
      eventually(60s, [&] { return connection.number("SELECT count(*) FROM relevo.tick") > 500; }));
  stop = true;
  for (auto& ticker : tickers) ticker.join();
  load.stop();

  ASSERT_GT(refused, 0) << "the tickers never met";
  EXPECT_EQ(connection.number("SELECT max(id) - count(*) FROM relevo.tick"), 0)
      << "ids without a gap";
  // What an earlier tick saw, each later one sees: finished transactions stay finished.
  EXPECT_EQ(connection.number(R"(
    SELECT count(*) FROM (SELECT snapshot AS later, lag(snapshot) OVER (ORDER BY id) AS earlier FROM relevo.tick) t
    WHERE pg_snapshot_xmax(later) < pg_snapshot_xmax(earlier)
       OR EXISTS (SELECT FROM pg_snapshot_xip(later) x WHERE pg_visible_in_snapshot(x, earlier)))"),
            0);
  const auto relay = scenario.relay("relay");
  EXPECT_EQ(scenario
                .finish({relay.get()},
                        {{"ticks", std::to_string(taken)}, {"refused", std::to_string(refused)}})
                .duplicates,
            0U);
}

TEST(TickerHazards, ATickerThatDiesWithTheLockHidesNoEvent) {
  constexpr int kDeaths = 10;
  Scenario scenario;
  const auto relay = scenario.relay("relay");
  ASSERT_TRUE(relay->wait_ready()) << relay->process().standard_error();
  auto connection = scenario.connect();
  auto reader = scenario.reader({"order"});
  publish_many(connection, "order", "o", scenario.topic("order"), 1, 1, 1);
  ASSERT_TRUE(eventually(20s, [&] { return !reader.poll(5ms).empty(); }))
      << relay->process().standard_error();

  for (int version = 2; version < 2 + kDeaths; ++version) {
    auto ticker = scenario.connect();
    ticker.exec("BEGIN");
    ASSERT_TRUE(eventually(
        5s, [&] { return ticker.value("SELECT pg_try_advisory_xact_lock(1919249782, 1)") == "t"; },
        1ms));
    publish_many(connection, "order", "o", scenario.topic("order"), version, 1, 1);
    ASSERT_TRUE(connection.query("SELECT id FROM relevo.next_tick()")[0][0] == std::nullopt);
    EXPECT_TRUE(reader.poll(100ms).empty()) << "delivered without a tick";
    connection.query("SELECT pg_terminate_backend($1::int)",
                     {std::to_string(ticker.backend_pid())});
    // Nothing else is written: the relay has to look again by itself.
    ASSERT_TRUE(eventually(
        5s, [&] { return !reader.poll(5ms).empty(); }, 1ms))
        << "event " << version;
  }
  EXPECT_EQ(scenario.finish({relay.get()}).duplicates, 0U);
}

TEST(TickerHazards, AStandbyIsRefused) {
  OwnPostgres primary;
  Scenario scenario({primary.url(), shared_servers().kafka});
  {
    auto connection = scenario.connect();
    publish_many(connection, "order", "o", scenario.topic("order"), 1, 100, 3);
  }
  const auto port = primary.url().substr(primary.url().rfind(':') + 1);
  const auto number = std::stoi(port);
  const auto standby_port = std::to_string(number + 1);
  primary.run_tool("pg_basebackup",
                   {"-h", "127.0.0.1", "-p", std::to_string(number), "-U", "postgres", "-R", "-D",
                    primary.directory() + "/standby", "-c", "fast"});
  primary.run_tool(
      "pg_ctl", {"-D", primary.directory() + "/standby", "-l", primary.directory() + "/standby.log",
                 "-o", "-p " + standby_port, "-w", "start"});
  auto url = scenario.url();
  url.replace(url.find(":" + std::to_string(number)), 1 + std::to_string(number).size(),
              ":" + standby_port);
  {
    Connection standby(url);
    ASSERT_EQ(standby.value("SELECT pg_is_in_recovery()"), "t");
    EXPECT_THROW(standby.query("SELECT relevo.next_tick()"), SqlError);
    Daemon refused({url, shared_servers().kafka, scenario.topic_prefix(), "on-standby", {}});
    EXPECT_FALSE(refused.wait_ready(5s));
    EXPECT_EQ(scenario.holders(), (std::map<std::string, int>{}));
  }
  primary.run_tool("pg_ctl",
                   {"-D", primary.directory() + "/standby", "-m", "immediate", "-w", "stop"});

  const auto relay = scenario.relay("relay");
  EXPECT_EQ(scenario.finish({relay.get()}).duplicates, 0U);
}

}  // namespace
}  // namespace relevo::test
