#include "relevo/kafka/publisher.hpp"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "relevo/core/error.hpp"
#include "relevo/kafka/embedded.hpp"
#include "support/kafka_publishing.hpp"

namespace relevo::kafka {
namespace {

using namespace std::chrono_literals;
using relay::Outcome;
using relay::Send;
using test::collect_reports;
using test::read_topic;

class KafkaPublisherTest : public testing::Test {
 protected:
  PublisherOptions options(std::int32_t partitions = 3) {
    PublisherOptions options;
    options.client.bootstrap_servers = kafka_.bootstrap();
    options.embedded = &kafka_;
    options.topics = {.create = true, .partitions = partitions, .replication = 1};
    return options;
  }

  EmbeddedKafka kafka_;
  test::LogLines log_;
};

TEST_F(KafkaPublisherTest, ReportsEachTicketOnceAndKeepsTheOrderOfAKey) {
  KafkaPublisher publisher(options(), log_);
  constexpr std::size_t kRecords = 5'000;
  for (std::size_t i = 0; i < kRecords; ++i) {
    const std::string key = "key-" + std::to_string(i % 17);
    const std::string value = std::to_string(i);
    ASSERT_EQ(
        publisher.send({.topic = "orders", .key = key, .value = value, .headers = {}}, 1000 + i)
            .status,
        Send::kAccepted);
  }
  EXPECT_EQ(publisher.in_flight(), kRecords);

  const auto reports = collect_reports(publisher, kRecords);
  std::set<relay::Ticket> tickets;
  for (const auto& report : reports) {
    EXPECT_EQ(report.outcome, Outcome::kDelivered);
    tickets.insert(report.ticket);
  }
  EXPECT_EQ(reports.size(), kRecords);
  EXPECT_EQ(tickets.size(), kRecords);
  EXPECT_EQ(*tickets.begin(), 1000U);
  EXPECT_EQ(*tickets.rbegin(), 1000 + kRecords - 1);
  EXPECT_EQ(publisher.in_flight(), 0U);

  std::map<std::string, int> last;
  const auto records = read_topic(kafka_.bootstrap(), "orders", kRecords);
  EXPECT_EQ(records.size(), kRecords);
  for (const auto& record : records) {
    const int number = std::stoi(record.value.value_or("-1"));
    const auto [place, is_first] = last.try_emplace(record.key, number);
    EXPECT_TRUE(is_first || place->second < number) << record.key;
    place->second = number;
  }
}

TEST_F(KafkaPublisherTest, ChoosesPartitionsAsTheJavaClientDoes) {
  struct Vector {
    const char* key;
    std::map<int, int> partition_by_count;
  };
  const std::vector<Vector> vectors{
      {"kafka", {{3, 1}, {6, 4}, {12, 4}}},
      {"order-1", {{3, 1}, {6, 4}, {12, 10}}},
      {"order-2", {{3, 0}, {6, 3}, {12, 3}}},
      {"42", {{3, 1}, {6, 4}, {12, 4}}},
      {"550e8400-e29b-41d4-a716-446655440000", {{3, 2}, {6, 5}, {12, 11}}},
  };
  for (const int partitions : {3, 6, 12}) {
    const std::string topic = "murmur2-" + std::to_string(partitions);
    KafkaPublisher publisher(options(partitions), log_);
    for (const auto& vector : vectors) {
      ASSERT_EQ(publisher.send({.topic = topic, .key = vector.key, .value = "v", .headers = {}}, 0)
                    .status,
                Send::kAccepted);
    }
    ASSERT_EQ(collect_reports(publisher, vectors.size()).size(), vectors.size());
    std::map<std::string, int> found;
    for (const auto& record : read_topic(kafka_.bootstrap(), topic, vectors.size())) {
      found[record.key] = record.partition;
    }
    for (const auto& vector : vectors) {
      EXPECT_EQ(found.at(vector.key), vector.partition_by_count.at(partitions))
          << vector.key << " of " << partitions;
    }
  }
}

TEST_F(KafkaPublisherTest, CarriesHeadersKeysAndValuesUnchanged) {
  KafkaPublisher publisher(options(1), log_);
  const std::string binary("a\0b", 3);
  const std::vector<relay::Header> headers{{"ce_id", "1"}, {"empty", ""},
                                           {"ce_id", "2"}, {"unset", std::string_view()},
                                           {"größe", "ü"}, {"nul", binary}};
  const std::vector<relay::Record> sent{
      {.topic = "t", .key = "k", .value = "value", .headers = headers},
      {.topic = "t", .key = "tombstone", .value = std::nullopt, .headers = {}},
      {.topic = "t", .key = "empty", .value = "", .headers = {}},
      {.topic = "t", .key = std::string_view(), .value = std::string_view(), .headers = {}},
      {.topic = "t", .key = binary, .value = binary, .headers = {}},
  };
  for (const auto& record : sent) ASSERT_EQ(publisher.send(record, 1).status, Send::kAccepted);
  ASSERT_EQ(collect_reports(publisher, sent.size()).size(), sent.size());

  const auto read = read_topic(kafka_.bootstrap(), "t", sent.size());
  ASSERT_EQ(read.size(), sent.size());
  for (std::size_t i = 0; i < sent.size(); ++i) {
    EXPECT_EQ(read[i].key, sent[i].key);
    EXPECT_EQ(read[i].value.has_value(), sent[i].value.has_value()) << i;
    EXPECT_EQ(read[i].value.value_or(""), sent[i].value.value_or(""));
    ASSERT_EQ(read[i].headers.size(), sent[i].headers.size());
    for (std::size_t h = 0; h < headers.size() && i == 0; ++h) {
      EXPECT_EQ(read[i].headers[h].first, headers[h].name);
      EXPECT_EQ(read[i].headers[h].second, headers[h].value);
    }
  }
}

TEST_F(KafkaPublisherTest, IsFullAtTheLimitOfRecordsAndTakesMoreAfterReports) {
  auto small = options();
  small.max_in_flight = 10;
  KafkaPublisher publisher(small, log_);
  const relay::Record record{.topic = "t", .key = "k", .value = "v", .headers = {}};
  for (relay::Ticket i = 0; i < 10; ++i)
    ASSERT_EQ(publisher.send(record, i).status, Send::kAccepted);
  EXPECT_EQ(publisher.send(record, 10).status, Send::kFull);
  EXPECT_EQ(publisher.in_flight(), 10U);
  EXPECT_EQ(collect_reports(publisher, 10).size(), 10U);
  EXPECT_EQ(publisher.send(record, 10).status, Send::kAccepted);
  const auto reports = collect_reports(publisher, 1);
  ASSERT_EQ(reports.size(), 1U);
  EXPECT_EQ(reports[0].ticket, 10U);
}

TEST_F(KafkaPublisherTest, IsFullAtTheLimitOfBytes) {
  KafkaPublisher publisher(options(), log_);
  const std::string large(4U << 20U, 'x');
  const relay::Record record{.topic = "t", .key = "k", .value = large, .headers = {}};
  relay::Ticket sent = 0;
  while (publisher.send(record, sent).status == Send::kAccepted) ++sent;
  EXPECT_EQ(sent, 3U);  // 16 MiB less framing
  EXPECT_EQ(publisher.send(record, sent).status, Send::kFull);
  EXPECT_EQ(collect_reports(publisher, sent).size(), sent);
  EXPECT_EQ(publisher.send(record, sent).status, Send::kAccepted);
}

TEST_F(KafkaPublisherTest, RefusesWhatTheClientItselfCannotSend) {
  KafkaPublisher publisher(options(), log_);
  const std::string huge(11U << 20U, 'x');
  const auto result = publisher.send({.topic = "t", .key = "k", .value = huge, .headers = {}}, 1);
  EXPECT_EQ(result.status, Send::kTooLarge);
  EXPECT_FALSE(result.error.empty());
  EXPECT_EQ(publisher.in_flight(), 0U);
}

TEST_F(KafkaPublisherTest, RefusesIllegalTopicNames) {
  KafkaPublisher publisher(options(), log_);
  const std::string too_long(250, 'x');
  for (const std::string& name :
       {std::string(), std::string("."), std::string(".."), std::string("a b"), std::string("a/b"),
        std::string("ä"), too_long}) {
    EXPECT_EQ(publisher.send({.topic = name, .key = "k", .value = "v", .headers = {}}, 1).status,
              Send::kInvalidTopic)
        << name;
    EXPECT_EQ(publisher.probe_topic(name).status, Send::kInvalidTopic) << name;
  }
  EXPECT_EQ(publisher.probe_topic(std::string(249, 'x')).status, Send::kAccepted);
}

TEST_F(KafkaPublisherTest, CreatesTopicsWithTheConfiguredPartitions) {
  KafkaPublisher publisher(options(7), log_);
  ASSERT_EQ(publisher.send({.topic = "seven", .key = "k", .value = "v", .headers = {}}, 1).status,
            Send::kAccepted);
  EXPECT_FALSE(kafka_.create_topic("seven", 7));
  ASSERT_EQ(collect_reports(publisher, 1).size(), 1U);
  EXPECT_EQ(publisher.probe_topic("seven").status, Send::kAccepted);
}

TEST_F(KafkaPublisherTest, CollectWithoutWaitingReturnsAtOnceAndWithWaitingInTime) {
  KafkaPublisher publisher(options(), log_);
  std::vector<relay::Report> reports;
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 1'000; ++i) EXPECT_TRUE(publisher.collect(0ms, reports));
  EXPECT_LT(std::chrono::steady_clock::now() - start, 1s);
  const auto waiting = std::chrono::steady_clock::now();
  EXPECT_TRUE(publisher.collect(30ms, reports));
  EXPECT_GE(std::chrono::steady_clock::now() - waiting, 30ms);
  EXPECT_TRUE(reports.empty());
}

TEST_F(KafkaPublisherTest, ReopenGivesUpWhatIsInFlightWithoutReports) {
  KafkaPublisher publisher(options(), log_);
  const relay::Record record{.topic = "t", .key = "k", .value = "v", .headers = {}};
  for (relay::Ticket i = 0; i < 100; ++i)
    ASSERT_EQ(publisher.send(record, i).status, Send::kAccepted);
  publisher.reopen();
  EXPECT_EQ(publisher.in_flight(), 0U);
  ASSERT_EQ(publisher.send(record, 777).status, Send::kAccepted);
  const auto reports = collect_reports(publisher, 1);
  ASSERT_EQ(reports.size(), 1U);
  EXPECT_EQ(reports[0].ticket, 777U);
  EXPECT_EQ(reports[0].outcome, Outcome::kDelivered);
}

TEST_F(KafkaPublisherTest, RefusesPropertiesThatItsGuaranteesRestOn) {
  for (const char* name :
       {"acks", "enable.idempotence", "message.timeout.ms", "partitioner", "retries",
        "max.in.flight", "transactional.id", "bootstrap.servers", "test.mock.num.brokers"}) {
    EXPECT_TRUE(refused_property(name).has_value()) << name;
    auto wrong = options();
    wrong.client.properties[name] = "1";
    try {
      const KafkaPublisher publisher(wrong, log_);
      ADD_FAILURE() << name << " was accepted";
    } catch (const core::IntegrationError& error) {
      EXPECT_EQ(error.kind(), core::ErrorKind::kMisconfigured);
      EXPECT_NE(error.detail().find(name), std::string::npos) << error.detail();
    }
  }
  EXPECT_FALSE(refused_property("compression.type").has_value());
}

TEST_F(KafkaPublisherTest, TellsWhichPropertyIsWrong) {
  for (const auto& [name, value] : std::map<std::string, std::string>{{"no.such.property", "1"},
                                                                      {"linger.ms", "soon"},
                                                                      {"batch.size", "-1"},
                                                                      {"security.protocol", "x"}}) {
    auto wrong = options();
    wrong.client.properties[name] = value;
    try {
      const KafkaPublisher publisher(wrong, log_);
      ADD_FAILURE() << name << " was accepted";
    } catch (const core::IntegrationError& error) {
      EXPECT_EQ(error.kind(), core::ErrorKind::kMisconfigured);
      EXPECT_NE(error.detail().find(name), std::string::npos) << error.detail();
    }
  }
}

TEST_F(KafkaPublisherTest, TakesPropertiesOfTheUser) {
  auto tuned = options();
  tuned.client.properties = {
      {"linger.ms", "20"}, {"compression.type", "lz4"}, {"batch.size", "2000"}};
  KafkaPublisher publisher(tuned, log_);
  const relay::Record record{.topic = "t", .key = "k", .value = "v", .headers = {}};
  for (relay::Ticket i = 0; i < 1'000; ++i)
    ASSERT_EQ(publisher.send(record, i).status, Send::kAccepted);
  EXPECT_EQ(collect_reports(publisher, 1'000).size(), 1'000U);
}

}  // namespace
}  // namespace relevo::kafka
