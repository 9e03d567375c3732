// Kafka goes away under load and comes back with its data. Its own broker.
#include <gtest/gtest.h>

#include "scenario.hpp"
#include "support/eventually.hpp"
#include "support/kafka_server.hpp"

namespace relevo::test {
namespace {

using namespace std::chrono_literals;

void disturb(const std::function<void(OwnKafka&)>& stop) {
  if (!OwnKafka::available()) GTEST_SKIP() << "the mock keeps nothing across a restart";
  OwnKafka kafka;
  Scenario scenario({shared_servers().postgres, kafka.bootstrap()});
  const auto relay = scenario.relay("relay");
  ASSERT_TRUE(relay->wait_ready()) << relay->process().standard_error();
  LoadOptions options;
  options.writers = 8;
  auto& load = scenario.load(options);
  ASSERT_TRUE(scenario.wait_progress(20s)) << relay->process().standard_error();

  const auto published = [&] {
    return relay->metric("relevo_outbox_published_total").value_or(-1);
  };
  stop(kafka);
  const auto at_stop = published();
  const auto committed = load.committed();
  // The fault bites: events are committed and none gets through.
  ASSERT_TRUE(eventually(20s, [&] { return load.committed() > committed + 50; }));
  EXPECT_EQ(published(), at_stop);
  kafka.start();
  ASSERT_TRUE(eventually(30s, [&] { return published() > at_stop; }))
      << relay->process().standard_error();
  ASSERT_TRUE(relay->wait_ready());

  const auto verdict = scenario.finish({relay.get()}, {{"restarts", "1"}});
  EXPECT_LE(verdict.duplicates, Scenario::kAgainPerCrash);
}

TEST(KafkaRestarted, StoppedUnderLoadLosesNothing) {
  disturb([](OwnKafka& kafka) { kafka.stop(); });
}

TEST(KafkaRestarted, KilledUnderLoadLosesNothing) {
  disturb([](OwnKafka& kafka) { kafka.kill(); });
}

}  // namespace
}  // namespace relevo::test
