// PostgreSQL and Kafka both away: at the start, and in the middle of the work.
#include <gtest/gtest.h>

#include "scenario.hpp"
#include "support/eventually.hpp"
#include "support/kafka_server.hpp"
#include "support/postgres_server.hpp"

namespace relevo::test {
namespace {

using namespace std::chrono_literals;

TEST(DependenciesAbsent, AtStartTheRelayWaitsAndThenWorks) {
  if (!OwnKafka::available()) GTEST_SKIP() << "the mock keeps nothing across a restart";
  OwnPostgres postgres;
  OwnKafka kafka;
  Scenario scenario({postgres.url(), kafka.bootstrap()});
  {
    auto connection = scenario.connect();
    publish_many(connection, "order", "o", scenario.topic("order"), 1, 200, 10);
  }
  postgres.stop();
  kafka.stop();

  const auto relay = scenario.relay("relay");
  ASSERT_TRUE(eventually(10s, [&] {
    const auto answer = relay->get("/livez");
    return answer && answer->status == 200;
  })) << relay->process().standard_error();
  EXPECT_FALSE(relay->ready());

  postgres.start();
  EXPECT_FALSE(relay->wait_ready(3s)) << "ready without Kafka";
  ASSERT_TRUE(relay->process().running()) << relay->process().standard_error();
  kafka.start();
  ASSERT_TRUE(relay->wait_ready(20s)) << relay->process().standard_error();
  (void)scenario.load();
  ASSERT_TRUE(scenario.wait_progress(20s)) << relay->process().standard_error();
  EXPECT_EQ(scenario.finish({relay.get()}).duplicates, 0U);
}

TEST(DependenciesAbsent, ForTwentySecondsTheRelayWaitsAndRecovers) {
  if (!OwnKafka::available()) GTEST_SKIP() << "the mock keeps nothing across a restart";
  OwnPostgres postgres;
  OwnKafka kafka;
  Scenario scenario({postgres.url(), kafka.bootstrap()});
  const auto relay = scenario.relay("relay");
  ASSERT_TRUE(relay->wait_ready()) << relay->process().standard_error();
  auto& load = scenario.load();
  ASSERT_TRUE(scenario.wait_progress(20s)) << relay->process().standard_error();

  kafka.kill();
  postgres.stop();
  ASSERT_GT(load.connections_lost(), 0U);
  ASSERT_TRUE(eventually(10s, [&] { return !relay->ready(); }));
  // The length of the outage is the fault itself.
  const auto ended = relay->process().wait(20s);
  ASSERT_FALSE(ended) << relay->process().standard_error();
  EXPECT_FALSE(relay->ready());
  EXPECT_EQ(relay->get("/livez").value_or(Daemon::Answer{}).status, 200)
      << "no reason to be restarted";

  postgres.start();
  kafka.start();
  ASSERT_TRUE(relay->wait_ready(20s)) << relay->process().standard_error();
  ASSERT_TRUE(scenario.wait_progress(20s)) << relay->process().standard_error();
  EXPECT_LE(scenario.finish({relay.get()}).duplicates, 2 * Scenario::kAgainPerCrash);
}

}  // namespace
}  // namespace relevo::test
