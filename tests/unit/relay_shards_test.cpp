#include <gtest/gtest.h>

#include "relevo/relay/shards.hpp"
#include "support/eventually.hpp"
#include "support/relay_fakes.hpp"

namespace relevo::relay {
namespace {

using namespace std::chrono_literals;
using feed::kWindowStart;
using feed::Position;

constexpr Position kFresh{1, 1, kWindowStart, 1001};
constexpr Position kOpen{1, 2, kWindowStart, 1002};
constexpr Position kDone{1, 2, 7, 1002};

struct Holding : testing::Test {
  test::FakeClock clock;
  test::QuietLog log;
  test::FakePositions positions{8};
  test::EmptyOutbox outbox;
  feed::Ticker ticker{outbox};
  OutboxReader reader{ticker, outbox};
  test::FakeLeases::Replicas replicas{{"me"}};
  // Short, so that the keeper looks often; the clock of the test stands still meanwhile.
  feed::LeaseKeeper leases{
      "me", 400ms, [this] { return std::make_unique<test::FakeLeases>(replicas); }, log, clock};
  test::CountingMetrics metrics;
  Shards shards{leases, metrics, log, clock};

  void start(std::vector<std::string> alive) {
    leases.start();
    now_alive(std::move(alive));
  }
  void now_alive(std::vector<std::string> alive) {
    replicas.set(alive);
    ASSERT_TRUE(test::eventually(5s, [&] { return leases.alive() == alive; }));
  }
  bool balance() { return shards.balance(positions, reader, 8); }
  void work(feed::Slice slice, const Position& to) { shards.find(slice)->sent.mark(to); }
};

TEST_F(Holding, TakesAllWhenAlone) {
  start({"me"});
  EXPECT_TRUE(balance());
  EXPECT_EQ(shards.size(), 8U);
  EXPECT_FALSE(balance());
}

TEST_F(Holding, TakesItsShareBesideOthers) {
  start({"me", "other", "third"});
  EXPECT_TRUE(balance());
  EXPECT_EQ(shards.size(), 3U);
}

TEST_F(Holding, HandsBackASurplusShardOnlyWhenNothingOfItIsOnItsWay) {
  start({"me"});
  ASSERT_TRUE(balance());
  work(7, kOpen);
  const auto number = shards.find(7)->sent.push({7, 0, {}});
  now_alive({"me", "other"});
  EXPECT_TRUE(balance());
  EXPECT_EQ(shards.size(), 5U);
  ASSERT_NE(shards.find(7), nullptr);
  EXPECT_EQ(positions.rows[7].holder, "me");
  shards.find(7)->sent.settle(number);
  EXPECT_TRUE(balance());
  EXPECT_EQ(shards.size(), 4U);
  EXPECT_EQ(positions.rows[7].holder, "");
  EXPECT_EQ(positions.rows[7].held.position, kDone) << "saved before it was handed back";
}

TEST_F(Holding, SavesOnlyWhatMoved) {
  start({"me"});
  ASSERT_TRUE(balance());
  work(3, kDone);
  shards.save(positions, reader);
  EXPECT_EQ(positions.rows[3].held.position, kDone);
  EXPECT_EQ(positions.rows[3].held.version, 2);
  EXPECT_EQ(positions.rows[4].held.version, 1) << "its position did not move";
}

TEST_F(Holding, DropsAShardWhoseRowSomebodyElseChanged) {
  start({"me"});
  ASSERT_TRUE(balance());
  ++positions.rows[3].held.epoch;
  positions.rows[3].holder = "other";
  work(3, kDone);
  shards.save(positions, reader);
  EXPECT_EQ(shards.find(3), nullptr);
  EXPECT_EQ(positions.rows[3].held.position, kFresh);
  EXPECT_NE(shards.find(4), nullptr);
  EXPECT_EQ(metrics.leases_lost, 1U);
}

TEST_F(Holding, DropsAShardThatItsOwnDelayedStatementRewound) {
  start({"me"});
  ASSERT_TRUE(balance());
  ++positions.rows[3].held.version;  // same holder, same epoch
  work(3, kDone);
  shards.save(positions, reader);
  EXPECT_EQ(shards.find(3), nullptr);
}

TEST_F(Holding, RecognisesASaveWhoseAnswerWasLost) {
  start({"me"});
  ASSERT_TRUE(balance());
  work(3, kDone);
  positions.answer_is_lost = true;
  EXPECT_THROW(shards.save(positions, reader), core::IntegrationError);
  shards.save(positions, reader);
  ASSERT_NE(shards.find(3), nullptr);
  EXPECT_EQ(shards.find(3)->held.version, positions.rows[3].held.version);
}

TEST_F(Holding, GoesOnFromWhatItHadDoneWhenNobodyHeldTheShardInBetween) {
  start({"me"});
  ASSERT_TRUE(balance());
  work(3, kDone);
  shards.drop(3, &reader);
  positions.rows[3].expired = true;
  ASSERT_TRUE(balance());
  EXPECT_EQ(shards.find(3)->sent.position(), kDone);
}

TEST_F(Holding, BelievesTheRowWhenTheDatabaseLacksTheTickOfWhatItHadDone) {
  start({"me"});
  ASSERT_TRUE(balance());
  work(3, {1, test::EmptyOutbox::kUnknownTick, 7, 1});
  shards.drop(3, &reader);
  positions.rows[3].expired = true;
  ASSERT_TRUE(balance());
  EXPECT_EQ(shards.find(3)->sent.position(), kFresh);
}

TEST_F(Holding, BelievesTheRowWhenSomebodyHeldTheShardInBetween) {
  start({"me"});
  ASSERT_TRUE(balance());
  work(3, kDone);
  shards.drop(3, &reader);
  positions.rows[3].expired = true;
  (void)positions.take("other", 10s, 1);
  positions.rows[3].expired = true;
  ASSERT_TRUE(balance());
  EXPECT_EQ(shards.find(3)->sent.position(), kFresh);
}

TEST_F(Holding, ReadsEveryShardAgainFromItsRowAfterAnError) {
  start({"me"});
  ASSERT_TRUE(balance());
  positions.rows[2].holder = "other";
  reader.clear();
  shards.resume(positions, reader);
  EXPECT_EQ(shards.find(2), nullptr);
  EXPECT_EQ(shards.size(), 7U);
  EXPECT_EQ(reader.groups(), 1U);
}

TEST_F(Holding, TellsTenuresApart) {
  start({"me"});
  ASSERT_TRUE(balance());
  const auto ticket = shards.ticket(*shards.find(3), 5);
  EXPECT_EQ(shards.of(ticket), shards.find(3));
  EXPECT_EQ(Shards::number_of(ticket), 5U);
  shards.drop(3, &reader);
  EXPECT_EQ(shards.of(ticket), nullptr);
  positions.rows[3].expired = true;
  ASSERT_TRUE(balance());
  EXPECT_EQ(shards.of(ticket), nullptr);
}

TEST_F(Holding, TrustsALeaseNotToItsEnd) {
  start({"me"});
  ASSERT_TRUE(balance());
  leases.stop();  // nobody renews
  clock.advance(290ms);
  EXPECT_TRUE(shards.lapsed().empty());
  clock.advance(20ms);
  EXPECT_EQ(shards.lapsed().size(), 8U) << "a quarter of the lease is kept back";
}

}  // namespace
}  // namespace relevo::relay
