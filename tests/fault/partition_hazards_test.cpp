// Ids beside the usual: across the boundary of a leaf, beyond the last leaf, and behind what was
// delivered.
#include <gtest/gtest.h>

#include "scenario.hpp"
#include "support/eventually.hpp"

namespace relevo::test {
namespace {

using namespace std::chrono_literals;

constexpr int kMoreThanAPage = 3000;

class PartitionHazards : public testing::Test {
 protected:
  void restart_ids(std::int64_t at) {
    connection_.exec("ALTER TABLE relevo.outbox ALTER COLUMN id RESTART WITH " +
                     std::to_string(at));
  }
  void publish(std::int64_t count) {
    publish_many(connection_, "order", "o", scenario_.topic("order"), version_ + 1, count, 7);
    version_ += count;
  }
  std::int64_t leaves_used() {
    return connection_.number("SELECT count(DISTINCT tableoid) FROM relevo.outbox");
  }
  Verdict finish() {
    EXPECT_TRUE(eventually(20s, [&] { return relay_->ready(); }));
    const auto verdict = scenario_.finish({relay_.get()});
    EXPECT_EQ(verdict.duplicates, 0U);
    return verdict;
  }

  Scenario scenario_;
  Connection connection_ = scenario_.connect();
  std::unique_ptr<Daemon> relay_ = scenario_.relay("relay");
  std::int64_t version_ = 0;
};

TEST_F(PartitionHazards, AWindowAcrossTheBoundaryOfALeafIsComplete) {
  restart_ids(999'990);
  publish(20);
  for (int i = 0; i < 20; ++i) publish(1);
  ASSERT_EQ(leaves_used(), 2);
  finish();
}

TEST_F(PartitionHazards, AHugeWindowAcrossTheBoundaryOfALeafIsComplete) {
  restart_ids(999'000);
  publish(kMoreThanAPage);
  ASSERT_EQ(leaves_used(), 2);
  finish();
}

TEST_F(PartitionHazards, WithoutALeafAheadRowsGoToTheDefaultAndAreDelivered) {
  restart_ids(20'999'990);
  publish(20);
  publish(1);
  publish(kMoreThanAPage);
  ASSERT_GT(connection_.number("SELECT count(*) FROM relevo.outbox_default"), 0);
  finish();
}

TEST_F(PartitionHazards, AHugeWindowPartlyInTheDefaultIsComplete) {
  // One transaction, ids first behind the last leaf, then in a leaf before it.
  connection_.exec("BEGIN");
  restart_ids(21'000'000);
  publish(600);
  restart_ids(5'000'000);
  publish(kMoreThanAPage);
  connection_.exec("COMMIT");
  ASSERT_EQ(leaves_used(), 2);
  // Within one transaction the ids decide the order.
  connection_.exec("TRUNCATE truth");
  connection_.exec(
      "INSERT INTO truth SELECT event_id, aggregate_type, aggregate_id, event_type, id, '" +
      scenario_.topic("order") + "', encode(sha256(payload), 'hex'), NULL FROM relevo.outbox");
  finish();
}

TEST_F(PartitionHazards, AnIdDrawnLongBeforeItIsCommittedIsDelivered) {
  auto early = scenario_.connect();
  early.exec("BEGIN");
  publish_many(early, "order", "early", scenario_.topic("order"), 1, 3, 1);
  publish(kMoreThanAPage);
  publish(10);
  ASSERT_TRUE(scenario_.wait_progress(20s)) << relay_->process().standard_error();
  early.exec("COMMIT");
  finish();
}

TEST_F(PartitionHazards, AnIdOfARangeDeliveredLongAgoIsDelivered) {
  publish(1);
  restart_ids(3'000'000);
  publish(kMoreThanAPage);
  ASSERT_TRUE(scenario_.wait_progress(20s)) << relay_->process().standard_error();
  restart_ids(500);
  publish_many(connection_, "order", "behind", scenario_.topic("order"), 1, 20, 3);
  ASSERT_EQ(leaves_used(), 2);
  finish();
}

}  // namespace
}  // namespace relevo::test
