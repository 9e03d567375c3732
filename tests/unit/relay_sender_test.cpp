#include <gtest/gtest.h>

#include "relevo/relay/sender.hpp"
#include "support/eventually.hpp"
#include "support/relay_fakes.hpp"

namespace relevo::relay {
namespace {

using namespace std::chrono_literals;
using feed::kWindowStart;
using feed::Position;
using feed::RowId;
using feed::Slice;

constexpr Position kOpen{1, 2, kWindowStart, 1002};
constexpr Position kClosed{2, 2, kWindowStart, 1002};

OutboxRow event(RowId id, std::string_view aggregate, Slice shard = 0) {
  OutboxRow row;
  row.id = id;
  row.shard = shard;
  row.aggregate_type = "order";
  row.aggregate_id = aggregate;
  row.event_type = "E";
  row.content_type = "application/json";
  row.payload = "{}";
  row.payload_bytes = 2;
  return row;
}

struct Sending : testing::Test {
  test::FakeClock clock;
  test::QuietLog log;
  test::CountingMetrics metrics;
  test::FakePublisher publisher;
  test::FakePositions positions{2};
  test::FakeDeadEvents dead;
  test::FakePayloads payloads;
  test::EmptyOutbox outbox;
  feed::Ticker ticker{outbox};
  OutboxReader reader{ticker, outbox};
  test::FakeLeases::Replicas replicas{{"me"}};
  feed::LeaseKeeper leases{
      "me", 10s, [this] { return std::make_unique<test::FakeLeases>(replicas); }, log, clock};
  Shards shards{leases, metrics, log, clock};
  BlockedAggregates blocked;
  Sender sender{{shards, blocked, publisher, metrics, log, clock},
                CloudEvents(TopicTemplate("t"), "/s"),
                100};

  void SetUp() override {
    leases.start();
    ASSERT_TRUE(test::eventually(5s, [&] { return !leases.alive().empty(); }));
    ASSERT_TRUE(shards.balance(positions, reader, 2));
  }

  void begin(std::vector<OutboxRow> rows) {
    sender.begin({{std::move(rows), nullptr}, {0, 1}, kOpen, kClosed});
  }
  Sender::Progress send() { return sender.send(payloads, dead); }
  void acknowledge(std::size_t index, Outcome outcome = Outcome::kDelivered) {
    EXPECT_TRUE(sender.report({publisher.sent[index].ticket, outcome}));
    sender.settle_reports(dead);
  }
  Position position(Slice shard) { return shards.find(shard)->sent.position(); }
};

TEST_F(Sending, PassesAPositionOnlyOverWhatIsAcknowledged) {
  begin({event(1, "a"), event(2, "b"), event(3, "c", 1)});
  EXPECT_EQ(send(), Sender::Progress::kDone);
  EXPECT_EQ(publisher.keys(), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(position(0), kOpen);
  acknowledge(1);
  EXPECT_EQ(position(0), kOpen);
  acknowledge(2);
  EXPECT_EQ(position(1), kClosed);
  acknowledge(0);
  EXPECT_EQ(position(0), kClosed);
  EXPECT_EQ(metrics.published_, 3U);
}

TEST_F(Sending, ParksWhatCannotBePublishedAndWhatQueuesBehindItOnly) {
  publisher.answer = [](const Record& record) {
    return record.key == "poison" ? Send::kTooLarge : Send::kAccepted;
  };
  begin({event(1, "a"), event(2, "poison"), event(3, "a"), event(4, "poison"), event(5, "b")});
  EXPECT_EQ(send(), Sender::Progress::kDone);
  EXPECT_EQ(publisher.keys(), (std::vector<std::string>{"a", "a", "b"}));
  EXPECT_EQ(dead.parked, (std::map<RowId, std::string>{{2, "too_large"}, {4, "queued_behind"}}));
  for (std::size_t i = 0; i < 3; ++i) acknowledge(i);
  EXPECT_EQ(position(0), kClosed);
  EXPECT_EQ(metrics.failed["too_large"], 1U);
}

TEST_F(Sending, DoesNotPassWhatCouldNotBeParked) {
  dead.fenced = true;
  publisher.answer = [](const auto&) { return Send::kUnknownTopic; };
  begin({event(1, "a")});
  EXPECT_THROW((void)send(), core::IntegrationError);
  EXPECT_EQ(position(0), kOpen);
}

TEST_F(Sending, ParksWhatTheBrokerRefusesLater) {
  begin({event(1, "a"), event(2, "b")});
  EXPECT_EQ(send(), Sender::Progress::kDone);
  acknowledge(0, Outcome::kRejected);
  acknowledge(1);
  EXPECT_EQ(dead.parked, (std::map<RowId, std::string>{{1, "rejected"}}));
  EXPECT_EQ(position(0), kClosed);
  begin({event(3, "a")});
  EXPECT_EQ(send(), Sender::Progress::kDone);
  EXPECT_EQ(dead.parked[3], "queued_behind");
}

TEST_F(Sending, LeavesOpenWhatMayOrMayNotBeWritten) {
  begin({event(1, "a")});
  EXPECT_EQ(send(), Sender::Progress::kDone);
  EXPECT_FALSE(sender.report({publisher.sent[0].ticket, Outcome::kUnknown}));
  EXPECT_EQ(position(0), kOpen);
}

TEST_F(Sending, PublishesAnEventThatIsOlderThanTheDeadOneOfItsAggregate) {
  blocked.block(BlockedAggregates::hash("order", "a"), 5);
  begin({event(4, "a"), event(5, "a"), event(6, "a")});
  EXPECT_EQ(send(), Sender::Progress::kDone);
  EXPECT_EQ(publisher.sent.size(), 1U);
  EXPECT_EQ(dead.parked.size(), 2U);
}

TEST_F(Sending, AsksTheTableWhenMoreAggregatesAreBlockedThanMemoryHolds) {
  for (std::uint64_t i = 0; i <= BlockedAggregates::kMost; ++i) blocked.block(i + 1, 1);
  ASSERT_FALSE(blocked.complete());
  dead.blocked_ = {{{"order", "b"}, 1}};
  begin({event(1, "a"), event(2, "b")});
  EXPECT_EQ(send(), Sender::Progress::kDone);
  EXPECT_EQ(publisher.keys(), std::vector<std::string>{"a"});
  EXPECT_EQ(dead.parked, (std::map<RowId, std::string>{{2, "queued_behind"}}));
  EXPECT_EQ(dead.asked_among, 1);
}

TEST_F(Sending, LeavesOutWhatAPersonSkipped) {
  blocked.skip(2);
  begin({event(1, "a"), event(2, "b")});
  EXPECT_EQ(send(), Sender::Progress::kDone);
  EXPECT_EQ(publisher.keys(), std::vector<std::string>{"a"});
  acknowledge(0);
  EXPECT_EQ(position(0), kClosed);
}

TEST_F(Sending, GoesOnWhereItStoppedWhenTheQueueWasFull) {
  int room = 2;
  publisher.answer = [&](const auto&) { return room-- > 0 ? Send::kAccepted : Send::kFull; };
  begin({event(1, "a"), event(2, "b"), event(3, "c")});
  EXPECT_EQ(send(), Sender::Progress::kFull);
  EXPECT_FALSE(sender.idle());
  acknowledge(0);
  acknowledge(1);
  EXPECT_EQ(position(0), (Position{1, 2, 2, 1002})) << "the window is not done";
  room = 2;
  EXPECT_EQ(send(), Sender::Progress::kDone);
  EXPECT_EQ(publisher.keys(), (std::vector<std::string>{"a", "b", "c"}));
}

TEST_F(Sending, HandsOutNoMoreThanIsAllowedInFlight) {
  std::vector<OutboxRow> rows;
  for (int i = 0; i < 150; ++i) rows.push_back(event(i + 1, "a"));
  begin(rows);
  EXPECT_EQ(send(), Sender::Progress::kFull);
  EXPECT_EQ(publisher.sent.size(), 100U);
}

TEST_F(Sending, DropsRowsOfAShardThatWasLostAndTakenAgainInBetween) {
  publisher.answer = [](const auto&) { return Send::kFull; };
  begin({event(1, "a")});
  EXPECT_EQ(send(), Sender::Progress::kFull);
  shards.drop(0, &reader);
  positions.rows[0].expired = true;
  ASSERT_TRUE(shards.balance(positions, reader, 2));
  publisher.answer = [](const auto&) { return Send::kAccepted; };
  EXPECT_EQ(send(), Sender::Progress::kDone);
  EXPECT_TRUE(publisher.sent.empty()) << "its new tenure reads the row again from its own position";
  EXPECT_EQ(position(0), kOpen);
}

TEST_F(Sending, IgnoresAReportOfAnEarlierTenure) {
  begin({event(1, "a")});
  EXPECT_EQ(send(), Sender::Progress::kDone);
  shards.drop(0, &reader);
  positions.rows[0].expired = true;
  ASSERT_TRUE(shards.balance(positions, reader, 2));
  EXPECT_TRUE(sender.report({publisher.sent[0].ticket, Outcome::kDelivered}));
  EXPECT_EQ(position(0), kOpen);
}

TEST_F(Sending, FetchesLargePayloadsWithinAByteBudget) {
  std::vector<OutboxRow> rows;
  for (RowId id = 1; id <= 3; ++id) {
    auto row = event(id, "a");
    row.payload.reset();
    row.payload_bytes = 3 << 20;
    rows.push_back(row);
    payloads.stored[id] = "large " + std::to_string(id);
  }
  begin(rows);
  EXPECT_EQ(send(), Sender::Progress::kDone);
  ASSERT_EQ(publisher.sent.size(), 3U);
  EXPECT_EQ(publisher.sent[2].value, "large 3");
  EXPECT_EQ(payloads.asked, (std::vector<std::vector<RowId>>{{1}, {2}, {3}}));
}

TEST_F(Sending, ComplainsAboutARowThatVanished) {
  auto row = event(1, "a");
  row.payload.reset();
  row.payload_bytes = 5000;
  begin({row});
  EXPECT_THROW((void)send(), core::IntegrationError);
}

}  // namespace
}  // namespace relevo::relay
