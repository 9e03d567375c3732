#include <gtest/gtest.h>

#include "relevo/relay/redrive.hpp"
#include "support/relay_fakes.hpp"

namespace relevo::relay {
namespace {

using namespace std::chrono_literals;
using feed::RowId;

struct Redriving : testing::Test {
  test::FakeClock clock;
  test::QuietLog log;
  test::CountingMetrics metrics;
  test::FakePublisher publisher;
  test::FakeDeadEvents dead;
  test::FakeLeases::Replicas replicas{{"me"}};
  feed::LeaseKeeper leases{
      "me", 10s, [this] { return std::make_unique<test::FakeLeases>(replicas); }, log, clock};
  Shards shards{leases, metrics, log, clock};
  BlockedAggregates blocked;
  Redrive redrive{{shards, blocked, publisher, metrics, log, clock},
                  CloudEvents(TopicTemplate("t"), "/s")};

  const std::uint64_t a = BlockedAggregates::hash("order", "a");
  const std::uint64_t b = BlockedAggregates::hash("order", "b");

  void SetUp() override {
    dead.blocked_ = {{{"order", "a"}, 1}, {{"order", "b"}, 2}};
    redrive.load(dead);
  }
  static RetryRow row(RowId id, std::string_view aggregate, bool queued_behind) {
    OutboxRow event;
    event.id = id;
    event.aggregate_type = "order";
    event.aggregate_id = aggregate;
    return {event, queued_behind, 0};
  }
  void work() {
    clock.advance(3s);
    redrive.work(dead);
  }
  void report(std::size_t index, Outcome outcome) {
    ASSERT_TRUE(Redrive::owns(publisher.sent[index].ticket));
    EXPECT_EQ(redrive.report({publisher.sent[index].ticket, outcome}),
              outcome != Outcome::kUnknown);
  }
};

TEST_F(Redriving, MirrorsTheTable) {
  EXPECT_TRUE(blocked.blocks(a, 1));
  EXPECT_FALSE(blocked.blocks(b, 1));
  EXPECT_TRUE(blocked.blocks(b, 2));
}

TEST_F(Redriving, SendsARefusedEventAloneBeforeWhatQueuesBehindIt) {
  dead.to_retry.rows = {row(1, "a", false), row(3, "a", true), row(2, "b", true),
                        row(4, "b", true)};
  work();
  EXPECT_EQ(publisher.keys(), (std::vector<std::string>{"a", "b", "b"}));
  EXPECT_TRUE(redrive.busy());
}

TEST_F(Redriving, LetsTheAggregateFlowWhenNoneIsLeft) {
  dead.to_retry.rows = {row(1, "a", false)};
  dead.aggregates_free = {{"order", "a"}};
  work();
  report(0, Outcome::kDelivered);
  work();
  EXPECT_EQ(dead.removed, std::vector<RowId>{1});
  EXPECT_FALSE(blocked.blocks(a, 5));
  EXPECT_TRUE(blocked.blocks(b, 5));
}

TEST_F(Redriving, ParksAgainWhatIsRefusedAgain) {
  dead.to_retry.rows = {row(1, "a", false)};
  work();
  report(0, Outcome::kTooLarge);
  work();
  ASSERT_EQ(dead.refused_.size(), 1U);
  EXPECT_EQ(dead.refused_[0].reason, "too_large");
  EXPECT_TRUE(blocked.blocks(a, 5));
}

TEST_F(Redriving, OffersAgainWhatMayOrMayNotBeWritten) {
  dead.to_retry.rows = {row(1, "a", false)};
  work();
  report(0, Outcome::kUnknown);
  work();
  EXPECT_EQ(publisher.sent.size(), 2U);
  EXPECT_TRUE(dead.removed.empty());
}

TEST_F(Redriving, ReleasesWhatWaitedForATopicThatAppeared) {
  dead.missing = {"gone", "there"};
  publisher.topics = {"there"};
  work();
  EXPECT_EQ(dead.appeared, std::vector<std::string>{"there"});
}

TEST_F(Redriving, LetsTheAggregateFlowWhenItsOnlyDeadEventIsSkipped) {
  dead.skipped_ = {{1, {"order", "a"}, {}}};
  work();
  EXPECT_TRUE(blocked.skips(1));
  EXPECT_FALSE(blocked.blocks(a, 5));
}

TEST_F(Redriving, LetsTheAggregateFlowWhenAFormerHolderRemovedItsDeadEvent) {
  dead.blocked_ = {{{"order", "b"}, 2}};
  for (int i = 0; i < 11; ++i) work();
  EXPECT_FALSE(blocked.blocks(a, 5));
  EXPECT_TRUE(blocked.blocks(b, 5));
}

TEST_F(Redriving, SendsASkippedEventThatAPersonReleasedAfterAll) {
  blocked.clear();
  dead.to_retry.rows = {row(1, "a", false)};
  work();
  EXPECT_EQ(publisher.sent.size(), 1U);
}

TEST_F(Redriving, LooksForNoTopicsWhileNoAggregateIsBlocked) {
  blocked.clear();
  dead.missing = {"there"};
  publisher.topics = {"there"};
  work();
  EXPECT_TRUE(dead.appeared.empty());
}

}  // namespace
}  // namespace relevo::relay
