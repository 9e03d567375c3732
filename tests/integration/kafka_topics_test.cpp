// Topics come, go and change while the publisher runs. Needs a real broker where it says so.
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "relevo/kafka/cluster.hpp"
#include "relevo/kafka/publisher.hpp"
#include "relevo/kafka/record_size.hpp"
#include "support/environment.hpp"
#include "support/eventually.hpp"
#include "support/kafka_admin.hpp"
#include "support/kafka_publishing.hpp"

namespace relevo::kafka {
namespace {

using namespace std::chrono_literals;
using relay::Outcome;
using relay::Send;
using test::collect_reports;
using test::read_topic;

class KafkaTopicsTest : public testing::Test {
 protected:
  void SetUp() override {
    if (test::environment("RELEVO_TEST_KAFKA_KIND").value_or("kafka") != "kafka") {
      GTEST_SKIP() << "the mock cluster knows no limits, no admin requests and creates any topic";
    }
  }

  PublisherOptions options(bool create = false) {
    PublisherOptions options;
    options.client.bootstrap_servers = bootstrap_;
    options.topics = {.create = create, .partitions = 5, .replication = -1};
    return options;
  }

  relay::Record record(const std::string& topic, std::string_view value = "v") {
    return {.topic = topic, .key = "k", .value = value, .headers = {}};
  }

  Outcome publish(KafkaPublisher& publisher, const relay::Record& record) {
    std::vector<relay::Report> reports;
    const auto sent = test::send_patiently(publisher, record, 1, reports);
    EXPECT_EQ(sent.status, Send::kAccepted) << sent.error;
    if (sent.status != Send::kAccepted) return Outcome::kUnknown;
    reports = collect_reports(publisher, 1);
    EXPECT_EQ(reports.size(), 1U);
    return reports.empty() ? Outcome::kUnknown : reports[0].outcome;
  }

  // Publishes what is not delivered again, as the relay does.
  bool published_eventually(KafkaPublisher& publisher, const relay::Record& record) {
    return test::eventually(20s, [&] {
      if (publisher.send(record, 1).status != Send::kAccepted) return false;
      const auto reports = collect_reports(publisher, 1);
      return reports.size() == 1 && reports[0].outcome == Outcome::kDelivered;
    });
  }

  // Returns when the broker tells it.
  void set_limit(const std::string& topic, std::size_t limit) {
    admin_.set(topic, "max.message.bytes", std::to_string(limit));
    ClientOptions client;
    client.bootstrap_servers = bootstrap_;
    EXPECT_TRUE(test::eventually(20s, [&] {
      return describe_cluster(client, {&topic, 1}, 5s).topics.at(0).max_message_bytes == limit;
    }));
  }

  const std::string bootstrap_ = test::required_environment("RELEVO_TEST_KAFKA");
  const std::string topic_ = test::unique_name("kafka-adapter-");
  test::LogLines log_;
  test::KafkaAdmin admin_{bootstrap_};
};

TEST_F(KafkaTopicsTest, CreatesATopicOnFirstUseWithItsPartitions) {
  KafkaPublisher publisher(options(true), log_);
  EXPECT_EQ(publish(publisher, record(topic_)), Outcome::kDelivered);
  EXPECT_EQ(admin_.partitions(topic_), 5);
  EXPECT_EQ(read_topic(bootstrap_, topic_, 1).size(), 1U);
}

TEST_F(KafkaTopicsTest, SaysWhyATopicCannotBeCreated) {
  auto impossible = options(true);
  impossible.topics.replication = 30;
  KafkaPublisher publisher(impossible, log_);
  const auto result = publisher.send(record(topic_), 1);
  EXPECT_EQ(result.status, Send::kUnknownTopic);
  EXPECT_NE(result.error.find("eplication"), std::string::npos) << result.error;
  EXPECT_EQ(publisher.in_flight(), 0U);
}

TEST_F(KafkaTopicsTest, AnUnknownTopicIsUsedOnceItAppears) {
  KafkaPublisher publisher(options(), log_);
  EXPECT_EQ(publisher.send(record(topic_), 1).status, Send::kUnknownTopic);
  EXPECT_EQ(publisher.probe_topic(topic_).status, Send::kUnknownTopic);
  admin_.create_topic(topic_, 2);
  EXPECT_EQ(publisher.probe_topic(topic_).status, Send::kAccepted);
  EXPECT_EQ(publish(publisher, record(topic_)), Outcome::kDelivered);
}

TEST_F(KafkaTopicsTest, ADeletedTopicIsReportedAndUsedAgainWhenMadeAnew) {
  admin_.create_topic(topic_, 3);
  KafkaPublisher publisher(options(), log_);
  ASSERT_EQ(publish(publisher, record(topic_, "before")), Outcome::kDelivered);
  admin_.delete_topic(topic_);

  bool told = false;
  ASSERT_TRUE(test::eventually(60s, [&] {
    const auto sent = publisher.send(record(topic_, "gone"), 1);
    if (sent.status == Send::kUnknownTopic) return told = true;
    for (const auto& report : collect_reports(publisher, 1, 40s))
      told |= report.outcome == Outcome::kUnknownTopic;
    return told;
  }));
  admin_.create_topic(topic_, 3);
  EXPECT_TRUE(published_eventually(publisher, record(topic_, "after")));
  const auto records = read_topic(bootstrap_, topic_, 1);
  ASSERT_FALSE(records.empty());
}

TEST_F(KafkaTopicsTest, ATopicMadeAnewAtOnceIsGoneOnWith) {
  admin_.create_topic(topic_, 1);
  KafkaPublisher publisher(options(), log_);
  for (int i = 0; i < 3; ++i) ASSERT_EQ(publish(publisher, record(topic_)), Outcome::kDelivered);
  admin_.delete_topic(topic_);
  admin_.create_topic(topic_, 1);
  EXPECT_TRUE(test::eventually(30s, [&] {
    const auto status = publisher.send(record(topic_, "after"), 1).status;
    if (status == Send::kProducerLost) publisher.reopen();
    if (status != Send::kAccepted) return false;
    const auto reports = collect_reports(publisher, 1);
    return reports.size() == 1 && reports[0].outcome == Outcome::kDelivered;
  }));
  const auto records = read_topic(bootstrap_, topic_, 1);
  ASSERT_FALSE(records.empty());
  EXPECT_EQ(records[0].value, "after");
}

TEST_F(KafkaTopicsTest, AddedPartitionsDoNoHarm) {
  admin_.create_topic(topic_, 1);
  KafkaPublisher publisher(options(), log_);
  ASSERT_EQ(publish(publisher, record(topic_)), Outcome::kDelivered);
  admin_.add_partitions(topic_, 4);
  for (int i = 0; i < 10; ++i) ASSERT_EQ(publish(publisher, record(topic_)), Outcome::kDelivered);
}

TEST_F(KafkaTopicsTest, AreDescribedWithTheirLimits) {
  admin_.create_topic(topic_, 2, {{"max.message.bytes", "12345"}});
  const std::vector<std::string> names{topic_, topic_ + "-absent"};
  ClientOptions client;
  client.bootstrap_servers = bootstrap_;
  const auto cluster = describe_cluster(client, names, 10s);
  EXPECT_FALSE(cluster.brokers.empty());
  EXPECT_GE(cluster.controller_id, 0);
  ASSERT_EQ(cluster.topics.size(), 2U);
  EXPECT_EQ(cluster.topics[0].partitions, 2);
  EXPECT_EQ(cluster.topics[0].max_message_bytes, 12'345U);
  EXPECT_FALSE(cluster.topics[1].exists);
  EXPECT_NE(cluster.topics[1].error, "");
}

// The broker is asked whether our arithmetic is right: at the limit it accepts, one byte more it
// refuses.
TEST_F(KafkaTopicsTest, TheLimitOfATopicIsKnownToTheByte) {
  const std::vector<relay::Header> headers{
      {"ce_id", "1"},
      {"empty", ""},
      {"long", "0123456789012345678901234567890123456789012345678901234567890123456789"}};
  for (const std::size_t limit : {std::size_t{1'000}, std::size_t{8'300}, std::size_t{70'000}}) {
    const std::string topic = topic_ + "-" + std::to_string(limit);
    admin_.create_topic(topic, 1, {{"max.message.bytes", std::to_string(limit)}});
    std::string value(limit, 'x');
    relay::Record fitting{.topic = topic, .key = "key", .value = value, .headers = headers};
    while (batch_size_of(fitting) > limit) {
      value.pop_back();
      fitting.value = value;
    }
    ASSERT_EQ(batch_size_of(fitting), limit);

    KafkaPublisher publisher(options(), log_);
    EXPECT_EQ(publish(publisher, fitting), Outcome::kDelivered);
    value.push_back('x');
    const relay::Record larger{.topic = topic, .key = "key", .value = value, .headers = headers};
    const auto refused = publisher.send(larger, 2);
    EXPECT_EQ(refused.status, Send::kTooLarge);
    EXPECT_NE(refused.error.find(std::to_string(limit)), std::string::npos) << refused.error;

    // What was allowed when the publisher asked and no more is: the broker refuses that very byte.
    set_limit(topic, limit + 1);
    KafkaPublisher unaware(options(), log_);
    EXPECT_EQ(publish(unaware, larger), Outcome::kDelivered);
    set_limit(topic, limit);
    EXPECT_EQ(publish(unaware, larger), Outcome::kTooLarge);
    EXPECT_EQ(publish(unaware, fitting), Outcome::kDelivered);
    EXPECT_EQ(unaware.send(larger, 2).status, Send::kTooLarge)
        << "the new limit is known from the report";
  }
}

TEST_F(KafkaTopicsTest, NoRecordIsRefusedForTheBatchItTravelsIn) {
  admin_.create_topic(topic_, 1);
  const std::string small = topic_ + "-small";
  admin_.create_topic(small, 1, {{"max.message.bytes", "10000"}});
  KafkaPublisher publisher(options(), log_);
  const std::string value(200, 'x');
  std::vector<relay::Report> reports;
  constexpr relay::Ticket kRecords = 1'000;
  for (relay::Ticket i = 0; i < kRecords; ++i) {
    ASSERT_EQ(test::send_patiently(publisher, record(topic_, value), i, reports).status,
              Send::kAccepted);
  }
  for (relay::Ticket i = 0; i < kRecords; ++i) {
    ASSERT_EQ(test::send_patiently(publisher, record(small, value), kRecords + i, reports).status,
              Send::kAccepted);
  }
  for (const auto& report : collect_reports(publisher, 2 * kRecords - reports.size()))
    reports.push_back(report);
  std::set<relay::Ticket> delivered;
  for (const auto& report : reports) {
    EXPECT_EQ(report.outcome, Outcome::kDelivered);
    delivered.insert(report.ticket);
  }
  EXPECT_EQ(delivered.size(), 2 * kRecords);
  EXPECT_EQ(log_.count("batch_size=10000"), 1U) << log_.all();
  EXPECT_EQ(read_topic(bootstrap_, small, kRecords).size(), kRecords);
}

// Lowered by an operator while the publisher runs: refused batches are sent again in smaller ones.
TEST_F(KafkaTopicsTest, ALimitLoweredWhileRunningCostsNoInnocentRecord) {
  admin_.create_topic(topic_, 1);
  KafkaPublisher publisher(options(), log_);
  ASSERT_EQ(publish(publisher, record(topic_)), Outcome::kDelivered);
  set_limit(topic_, 5'000);

  const std::string value(200, 'x');
  std::set<relay::Ticket> open;
  for (relay::Ticket i = 0; i < 500; ++i) open.insert(i);
  EXPECT_TRUE(test::eventually(30s, [&] {
    std::vector<relay::Report> reports;
    std::size_t sent = 0;
    for (const auto ticket : open) {
      const auto result = test::send_patiently(publisher, record(topic_, value), ticket, reports);
      EXPECT_EQ(result.status, Send::kAccepted) << result.error;
      ++sent;
    }
    for (const auto& report : collect_reports(publisher, sent - reports.size()))
      reports.push_back(report);
    for (const auto& report : reports) {
      EXPECT_TRUE(report.outcome == Outcome::kDelivered || report.outcome == Outcome::kUnknown);
      if (report.outcome == Outcome::kDelivered) open.erase(report.ticket);
    }
    return open.empty();
  }));
  EXPECT_EQ(log_.count("batch_size=5000"), 1U) << log_.all();
}

}  // namespace
}  // namespace relevo::kafka
