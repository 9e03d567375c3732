#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "relevo/kafka/embedded.hpp"
#include "relevo/kafka/publisher.hpp"
#include "support/eventually.hpp"
#include "support/kafka_publishing.hpp"

namespace relevo::kafka {
namespace {

using namespace std::chrono_literals;
using relay::Outcome;
using relay::Send;
using test::collect_reports;
using test::read_topic;

constexpr std::int16_t kProduce = 0;
constexpr std::int32_t kBroker = 1;

class SettableClock : public core::Clock {
 public:
  core::BootTime now() const override { return core::BootClock::now() + ahead; }
  core::WallTime wall() const override { return core::system_clock().wall(); }

  std::chrono::seconds ahead{0};
};

class KafkaFaultsTest : public testing::Test {
 protected:
  PublisherOptions options(bool create = true) {
    PublisherOptions options;
    options.client.bootstrap_servers = kafka_.bootstrap();
    options.embedded = &kafka_;
    options.topics = {.create = create, .partitions = 1, .replication = 1};
    return options;
  }

  void fail_produce(rd_kafka_resp_err_t error, std::size_t times = 1) {
    const std::vector<rd_kafka_resp_err_t> errors(times, error);
    rd_kafka_mock_push_request_errors_array(kafka_.native(), kProduce, errors.size(),
                                            errors.data());
  }

  Outcome publish_one(KafkaPublisher& publisher, relay::Ticket ticket = 1) {
    std::vector<relay::Report> reports;
    const auto sent = test::send_patiently(publisher, record_, ticket, reports);
    EXPECT_EQ(sent.status, Send::kAccepted) << sent.error;
    reports = collect_reports(publisher, 1);
    EXPECT_EQ(reports.size(), 1U);
    return reports.empty() ? Outcome::kUnknown : reports[0].outcome;
  }

  EmbeddedKafka kafka_;
  test::LogLines log_;
  SettableClock clock_;
  const relay::Record record_{.topic = "t", .key = "k", .value = "v", .headers = {}};
};

TEST_F(KafkaFaultsTest, TellsApartWhatBrokersSay) {
  const std::map<rd_kafka_resp_err_t, Outcome> outcomes{
      {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, Outcome::kUnauthorized},
      {RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, Outcome::kUnauthorized},
      {RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP, Outcome::kUnknown},
      {RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS, Outcome::kUnknown},
  };
  for (const auto& [error, outcome] : outcomes) {
    KafkaPublisher publisher(options(), log_);
    ASSERT_EQ(publish_one(publisher), Outcome::kDelivered);
    fail_produce(error);
    EXPECT_EQ(publish_one(publisher), outcome) << rd_kafka_err2name(error);
    EXPECT_FALSE(publisher.last_error().empty());
    rd_kafka_mock_clear_request_errors(kafka_.native(), kProduce);
    if (publisher.send(record_, 3).status == Send::kProducerLost) publisher.reopen();
    while (publisher.in_flight() > 0) collect_reports(publisher, 1);
    EXPECT_EQ(publish_one(publisher), Outcome::kDelivered) << "after " << rd_kafka_err2name(error);
  }
}

TEST_F(KafkaFaultsTest, RetriesByItselfWhatPasses) {
  for (const auto error :
       {RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
        RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, RD_KAFKA_RESP_ERR__TRANSPORT}) {
    KafkaPublisher publisher(options(), log_);
    ASSERT_EQ(publish_one(publisher), Outcome::kDelivered);
    fail_produce(error, 3);
    EXPECT_EQ(publish_one(publisher), Outcome::kDelivered) << rd_kafka_err2name(error);
  }
}

// A refusal concerns a batch; only a record that travelled alone is to blame for it.
TEST_F(KafkaFaultsTest, BlamesARecordOnlyWhenItWasSentAlone) {
  KafkaPublisher publisher(options(), log_, clock_);
  ASSERT_EQ(publish_one(publisher), Outcome::kDelivered);
  fail_produce(RD_KAFKA_RESP_ERR_INVALID_RECORD, 2);
  EXPECT_EQ(publish_one(publisher), Outcome::kUnknown);
  EXPECT_EQ(publish_one(publisher), Outcome::kRejected);
  EXPECT_EQ(publish_one(publisher), Outcome::kDelivered);
  EXPECT_EQ(log_.count("batch_size=1"), 1U) << log_.all();

  clock_.ahead += 10s;
  std::vector<relay::Report> reports;
  (void)publisher.collect(0ms, reports);
  EXPECT_EQ(publish_one(publisher), Outcome::kDelivered);
  EXPECT_EQ(log_.count("batch_size=1000000"), 1U) << log_.all();
}

TEST_F(KafkaFaultsTest, FindsTheLargestBatchByTryingWhereLimitsAreNotTold) {
  KafkaPublisher publisher(options(), log_);
  ASSERT_EQ(publish_one(publisher), Outcome::kDelivered);
  fail_produce(RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, 100);
  int tries = 1;
  while (publish_one(publisher) == Outcome::kUnknown) ++tries;
  EXPECT_GT(tries, 3);
  EXPECT_LT(tries, 12);
  rd_kafka_mock_clear_request_errors(kafka_.native(), kProduce);
  EXPECT_EQ(publish_one(publisher), Outcome::kDelivered);
}

TEST_F(KafkaFaultsTest, AFatalErrorLosesTheProducerUntilItIsReopened) {
  KafkaPublisher publisher(options(), log_);
  ASSERT_EQ(publish_one(publisher), Outcome::kDelivered);
  fail_produce(RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, 5);
  for (relay::Ticket i = 0; i < 100; ++i) {
    const auto status = publisher.send(record_, i).status;
    ASSERT_TRUE(status == Send::kAccepted || status == Send::kProducerLost);
  }
  std::vector<relay::Report> reports;
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  while (publisher.collect(20ms, reports) && std::chrono::steady_clock::now() < deadline) {
  }
  for (const auto& report : reports) EXPECT_EQ(report.outcome, Outcome::kUnknown);
  EXPECT_FALSE(publisher.collect(0ms, reports));
  const auto refused = publisher.send(record_, 1);
  EXPECT_EQ(refused.status, Send::kProducerLost);
  EXPECT_FALSE(refused.error.empty());
  EXPECT_EQ(log_.count("warn kafka producer lost"), 1U) << log_.all();

  rd_kafka_mock_clear_request_errors(kafka_.native(), kProduce);
  publisher.reopen();
  EXPECT_EQ(publisher.in_flight(), 0U);
  EXPECT_EQ(publish_one(publisher, 5), Outcome::kDelivered);
}

TEST_F(KafkaFaultsTest, LosesNothingWhileTheBrokerIsDownAndLogsTheOutageOnItsEdges) {
  KafkaPublisher publisher(options(), log_);
  ASSERT_EQ(publish_one(publisher, 0), Outcome::kDelivered);
  rd_kafka_mock_broker_set_down(kafka_.native(), kBroker);

  constexpr std::size_t kRecords = 500;
  std::vector<std::string> values;
  for (std::size_t i = 0; i < kRecords; ++i) {
    const std::string value = std::to_string(i);
    ASSERT_EQ(publisher.send({.topic = "t", .key = "k", .value = value, .headers = {}}, i).status,
              Send::kAccepted);
  }
  EXPECT_TRUE(collect_reports(publisher, 1, 4s).empty());
  EXPECT_EQ(publisher.in_flight(), kRecords);
  EXPECT_EQ(log_.count("warn outage of=kafka"), 1U) << log_.all();
  EXPECT_EQ(log_.count("warn"), 1U) << log_.all();

  rd_kafka_mock_broker_set_up(kafka_.native(), kBroker);
  // librdkafka 2.0.2 may take a disconnection for a lost sequence; sending all again is the way
  // out.
  auto reports = collect_reports(publisher, kRecords);
  if (reports.size() < kRecords) {
    publisher.reopen();
    for (std::size_t i = reports.size(); i < kRecords; ++i) {
      const std::string value = std::to_string(i);
      ASSERT_EQ(publisher.send({.topic = "t", .key = "k", .value = value, .headers = {}}, i).status,
                Send::kAccepted);
    }
    for (const auto& report : collect_reports(publisher, kRecords - reports.size()))
      reports.push_back(report);
  }
  EXPECT_EQ(reports.size(), kRecords);
  for (const auto& report : reports) EXPECT_EQ(report.outcome, Outcome::kDelivered);
  (void)collect_reports(publisher, 1, 1500ms);
  EXPECT_EQ(log_.count("info outage over of=kafka"), 1U) << log_.all();

  std::set<std::string> read;
  for (const auto& record : read_topic(kafka_.bootstrap(), "t", kRecords + 1))
    read.insert(record.value.value_or(""));
  for (std::size_t i = 0; i < kRecords; ++i) EXPECT_TRUE(read.contains(std::to_string(i)));
}

TEST_F(KafkaFaultsTest, KnowsWithoutTrafficWhetherABrokerIsThere) {
  KafkaPublisher publisher(options(), log_, clock_);
  EXPECT_FALSE(publisher.reachable());
  std::vector<relay::Report> reports;
  const auto is_reachable = [&] {
    (void)publisher.collect(0ms, reports);
    return publisher.reachable();
  };
  EXPECT_TRUE(test::eventually(10s, is_reachable));
  rd_kafka_mock_broker_set_down(kafka_.native(), kBroker);
  EXPECT_TRUE(test::eventually(10s, [&] { return !is_reachable(); }));
  rd_kafka_mock_broker_set_up(kafka_.native(), kBroker);
  EXPECT_TRUE(test::eventually(10s, is_reachable));
}

TEST_F(KafkaFaultsTest, ATopicCannotBeAskedAboutWhileTheBrokerIsDown) {
  kafka_.create_topic("t", 1);
  kafka_.create_topic("other", 1);
  KafkaPublisher publisher(options(false), log_);
  ASSERT_EQ(publish_one(publisher), Outcome::kDelivered);
  rd_kafka_mock_broker_set_down(kafka_.native(), kBroker);
  const relay::Record other{.topic = "other", .key = "k", .value = "v", .headers = {}};
  const auto result = publisher.send(other, 1);
  EXPECT_EQ(result.status, Send::kUnavailable);
  EXPECT_FALSE(result.error.empty());
  const auto again = std::chrono::steady_clock::now();
  EXPECT_EQ(publisher.send(other, 1).status, Send::kUnavailable);
  EXPECT_LT(std::chrono::steady_clock::now() - again, 100ms);
  EXPECT_EQ(publisher.probe_topic("other").status, Send::kUnavailable);

  rd_kafka_mock_broker_set_up(kafka_.native(), kBroker);
  std::vector<relay::Report> reports;
  EXPECT_EQ(test::send_patiently(publisher, other, 1, reports).status, Send::kAccepted);
  EXPECT_EQ(collect_reports(publisher, 1).size(), 1U);
}

TEST_F(KafkaFaultsTest, AnUnknownTopicIsNotAskedForEachTimeButFoundWhenItAppears) {
  KafkaPublisher publisher(options(false), log_, clock_);
  rd_kafka_mock_topic_set_error(kafka_.native(), "t", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
  EXPECT_EQ(publisher.send(record_, 1).status, Send::kUnknownTopic);
  EXPECT_EQ(publisher.probe_topic("t").status, Send::kUnknownTopic);

  rd_kafka_mock_topic_set_error(kafka_.native(), "t", RD_KAFKA_RESP_ERR_NO_ERROR);
  EXPECT_EQ(publisher.send(record_, 1).status, Send::kUnknownTopic) << "remembered";
  clock_.ahead += 2s;
  EXPECT_EQ(publish_one(publisher), Outcome::kDelivered);

  rd_kafka_mock_topic_set_error(kafka_.native(), "u", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
  const relay::Record other{.topic = "u", .key = "k", .value = "v", .headers = {}};
  EXPECT_EQ(publisher.send(other, 1).status, Send::kUnknownTopic);
  rd_kafka_mock_topic_set_error(kafka_.native(), "u", RD_KAFKA_RESP_ERR_NO_ERROR);
  EXPECT_EQ(publisher.probe_topic("u").status, Send::kAccepted) << "a probe always asks";
  EXPECT_EQ(publisher.send(other, 1).status, Send::kAccepted);
}

TEST_F(KafkaFaultsTest, ATopicThatMayNotBeSeenIsUnauthorized) {
  KafkaPublisher publisher(options(false), log_, clock_);
  // The mock cluster tells the partitions of such a topic, which brokers do not; librdkafka 2.8.0
  // crashes on them unless it knew them before.
  kafka_.create_topic("t", 1);
  ASSERT_EQ(publish_one(publisher), Outcome::kDelivered);
  rd_kafka_mock_topic_set_error(kafka_.native(), "t", RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
  EXPECT_EQ(publisher.probe_topic("t").status, Send::kUnauthorized);
  EXPECT_EQ(publisher.send(record_, 1).status, Send::kUnauthorized);
}

TEST_F(KafkaFaultsTest, ClosesInTimeWhateverIsInFlight) {
  for (const bool is_down : {true, false}) {
    KafkaPublisher publisher(options(), log_);
    ASSERT_EQ(publish_one(publisher), Outcome::kDelivered);
    if (is_down) {
      rd_kafka_mock_broker_set_down(kafka_.native(), kBroker);
    } else {
      rd_kafka_mock_broker_set_up(kafka_.native(), kBroker);
      rd_kafka_mock_broker_set_rtt(kafka_.native(), kBroker, 60'000);
    }
    for (relay::Ticket i = 0; i < 1'000; ++i) {
      if (publisher.send(record_, i).status != Send::kAccepted) break;
    }
    (void)collect_reports(publisher, 1, 200ms);
    const auto start = std::chrono::steady_clock::now();
    publisher.reopen();
    EXPECT_LT(std::chrono::steady_clock::now() - start, 3s);
    rd_kafka_mock_broker_set_up(kafka_.native(), kBroker);
    rd_kafka_mock_broker_set_rtt(kafka_.native(), kBroker, 0);
  }
}

}  // namespace
}  // namespace relevo::kafka
