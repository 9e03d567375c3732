#include "relevo/kafka/reader.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "relevo/kafka/embedded.hpp"
#include "relevo/kafka/publisher.hpp"
#include "support/eventually.hpp"
#include "support/kafka_publishing.hpp"

namespace relevo::kafka {
namespace {

using namespace std::chrono_literals;

class KafkaReaderTest : public testing::Test {
 protected:
  KafkaReaderTest() : publisher_(publishing(), log_) {}

  PublisherOptions publishing() {
    PublisherOptions options;
    options.client.bootstrap_servers = kafka_.bootstrap();
    options.embedded = &kafka_;
    options.topics = {.create = true, .partitions = 3, .replication = 1};
    return options;
  }

  ReaderOptions reading(std::vector<std::string> topics) {
    ReaderOptions options;
    options.client.bootstrap_servers = kafka_.bootstrap();
    options.topics = std::move(topics);
    return options;
  }

  void publish(const std::string& topic, const std::string& value) {
    const auto sent =
        publisher_.send({.topic = topic, .key = value, .value = value, .headers = {}}, 1);
    ASSERT_EQ(sent.status, relay::Send::kAccepted) << sent.error;
    ASSERT_EQ(test::collect_reports(publisher_, 1).size(), 1U);
  }

  static std::set<std::string> read(KafkaReader& reader, std::size_t count) {
    std::set<std::string> values;
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while (values.size() < count && std::chrono::steady_clock::now() < deadline) {
      if (const auto* record = reader.poll(50ms)) values.emplace(record->value.value_or(""));
    }
    return values;
  }

  EmbeddedKafka kafka_;
  test::LogLines log_;
  KafkaPublisher publisher_;
};

TEST_F(KafkaReaderTest, ReadsWhatMatchesFromTheBeginningAndKnowsTheEnd) {
  publish("outbox.event.order", "a");
  publish("outbox.event.order", "b");
  publish("outbox.event.invoice", "c");
  publish("other", "d");
  KafkaReader reader(reading({"outbox.*.*"}));
  EXPECT_FALSE(reader.at_end());
  EXPECT_EQ(read(reader, 3), (std::set<std::string>{"a", "b", "c"}));
  // Each partition tells its end when it is asked.
  EXPECT_TRUE(test::eventually(10s, [&] {
    EXPECT_EQ(reader.poll(50ms), nullptr);
    return reader.at_end();
  }));
}

TEST_F(KafkaReaderTest, FindsTopicsThatAppearLaterAndCreatesNone) {
  KafkaReader reader(reading({"late", "never"}));
  EXPECT_EQ(reader.poll(50ms), nullptr);
  publish("late", "x");
  EXPECT_EQ(read(reader, 1), (std::set<std::string>{"x"}));
  EXPECT_TRUE(kafka_.create_topic("never", 1));
}

TEST_F(KafkaReaderTest, FromTheEndSkipsWhatWasThere) {
  publish("t", "old");
  auto options = reading({"t", "late"});
  options.from = ReaderOptions::From::kEnd;
  KafkaReader reader(options);
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  while (!reader.at_end() && std::chrono::steady_clock::now() < deadline)
    EXPECT_EQ(reader.poll(20ms), nullptr);
  publish("t", "new");
  publish("late", "later");
  EXPECT_EQ(read(reader, 2), (std::set<std::string>{"new", "later"}));
}

}  // namespace
}  // namespace relevo::kafka
