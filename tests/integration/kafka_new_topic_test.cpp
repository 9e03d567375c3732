// Publishing at once to a topic that is being created: docs/adr/0007-one-request-in-flight.md.
#include <gtest/gtest.h>

#include <set>

#include "relevo/kafka/publisher.hpp"
#include "support/environment.hpp"
#include "support/kafka_publishing.hpp"

namespace relevo::kafka {
namespace {

using namespace std::chrono_literals;

TEST(NewKafkaTopic, KeepsEveryRecordThatWasReportedDelivered) {
  if (test::environment("RELEVO_TEST_KAFKA_KIND").value_or("kafka") != "kafka") {
    GTEST_SKIP() << "partitions of the mock cluster are there at once";
  }
  constexpr int kTopics = 12;
  constexpr std::size_t kRecords = 240;
  PublisherOptions options;
  options.client.bootstrap_servers = test::required_environment("RELEVO_TEST_KAFKA");
  options.topics = {.create = true, .partitions = 8, .replication = -1};
  for (int i = 0; i < kTopics; ++i) {
    test::LogLines log;
    KafkaPublisher publisher(options, log);
    const auto topic = test::unique_name("new-topic-");
    std::vector<relay::Report> reports;
    // Several small batches a partition, while the broker brings the partitions up one after the
    // other.
    for (std::size_t n = 0; n < kRecords; ++n) {
      const auto key = "key-" + std::to_string(n % 60);
      const auto value = std::to_string(n);
      const auto sent = test::send_patiently(publisher, {topic, key, value, {}}, n, reports);
      ASSERT_EQ(sent.status, relay::Send::kAccepted) << sent.error;
      if (n % 4 == 3) {
        ASSERT_TRUE(publisher.collect(1ms, reports));
      }
    }
    while (reports.size() < kRecords) {
      auto more = test::collect_reports(publisher, kRecords - reports.size());
      ASSERT_FALSE(more.empty());
      reports.insert(reports.end(), more.begin(), more.end());
    }
    std::set<std::string> stored;
    for (const auto& record : test::read_topic(options.client.bootstrap_servers, topic, kRecords)) {
      stored.insert(record.value.value_or(""));
    }
    for (const auto& report : reports) {
      if (report.outcome != relay::Outcome::kDelivered) continue;
      EXPECT_TRUE(stored.contains(std::to_string(report.ticket)))
          << "record " << report.ticket << " was reported as delivered and is not in " << topic;
    }
  }
}

}  // namespace
}  // namespace relevo::kafka
