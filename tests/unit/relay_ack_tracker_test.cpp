#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "relevo/relay/ack_tracker.hpp"

namespace relevo::relay {
namespace {

using feed::kWindowStart;
using feed::Position;

constexpr Position kStart{5, 5, kWindowStart, 500};
constexpr Position kOpen{5, 6, kWindowStart, 600};
constexpr Position kClosed{6, 6, kWindowStart, 600};

TEST(AckTracker, PassesOnlyAContiguousPrefix) {
  AckTracker tracker(kStart);
  tracker.mark(kOpen);
  const auto first = tracker.push({10, 1, {}});
  const auto second = tracker.push({11, 2, {}});
  const auto third = tracker.push({12, 3, {}});
  tracker.mark(kClosed);
  tracker.settle(second);
  EXPECT_EQ(tracker.position(), kOpen) << "10 may be lost still";
  tracker.settle(first);
  EXPECT_EQ(tracker.position(), (Position{5, 6, 11, 600}));
  EXPECT_EQ(tracker.open(), 1U);
  tracker.settle(third);
  EXPECT_EQ(tracker.position(), kClosed);
  EXPECT_EQ(tracker.open(), 0U);
}

TEST(AckTracker, ReachesAMarkAtOnceWhenNothingIsOnItsWay) {
  AckTracker tracker(kStart);
  tracker.mark(kOpen);
  tracker.mark(kClosed);
  EXPECT_EQ(tracker.position(), kClosed);
}

TEST(AckTracker, KeepsTheProgressOfAScanWithoutRowsOfOurs) {
  AckTracker tracker(kStart);
  tracker.mark(kOpen);
  const auto event = tracker.push({10, 1, {}});
  tracker.mark({5, 6, 4000, 600});
  tracker.mark({5, 6, 6000, 600});
  EXPECT_EQ(tracker.position(), kOpen);
  tracker.settle(event);
  EXPECT_EQ(tracker.position(), (Position{5, 6, 6000, 600}));
}

TEST(AckTracker, DoesNotPassAWindowForTheNextOne) {
  AckTracker tracker(kStart);
  tracker.mark(kOpen);
  const auto first = tracker.push({10, 1, {}});
  tracker.mark(kClosed);
  tracker.mark({6, 7, kWindowStart, 700});
  const auto late_with_lower_id = tracker.push({3, 1, {}});
  tracker.mark({7, 7, kWindowStart, 700});
  tracker.settle(late_with_lower_id);
  EXPECT_EQ(tracker.position(), kOpen);
  tracker.settle(first);
  EXPECT_EQ(tracker.position(), (Position{7, 7, kWindowStart, 700}));
}

TEST(AckTracker, FindsWhatIsOnItsWayAndNothingElse) {
  AckTracker tracker(kStart);
  tracker.mark(kOpen);
  const auto first = tracker.push({10, 1, {}});
  const auto second = tracker.push({11, 2, {}});
  tracker.settle(second);
  ASSERT_NE(tracker.find(first), nullptr);
  EXPECT_EQ(tracker.find(first)->id, 10);
  EXPECT_EQ(tracker.find(second), nullptr);
  EXPECT_EQ(tracker.find(second + 1), nullptr);
  EXPECT_EQ(tracker.next_number(), second + 1);
}

TEST(AckTrackerDeathTest, StopsTheProcessWhenAnUnknownEventIsSettled) {
  AckTracker tracker(kStart);
  EXPECT_DEATH(tracker.settle(0), "only events on their way are settled");
}

RC_GTEST_PROP(AckTracker, NeverPassesAnUnsettledEventInAnyOrderOfReports, ()) {
  AckTracker tracker(kStart);
  tracker.mark(kOpen);
  const auto count = *rc::gen::inRange<std::size_t>(0, 40);
  std::vector<std::uint64_t> numbers;
  for (std::size_t i = 0; i < count; ++i) {
    numbers.push_back(tracker.push({static_cast<feed::RowId>(10 * i), 0, {}}));
  }
  tracker.mark(kClosed);
  std::vector<bool> settled(count, false);
  while (!numbers.empty()) {
    const auto next = *rc::gen::elementOf(numbers);
    std::erase(numbers, next);
    tracker.settle(next);
    settled[next] = true;
    const auto prefix = std::find(settled.begin(), settled.end(), false) - settled.begin();
    const auto expected = numbers.empty()
                              ? kClosed
                              : Position{5, 6, prefix == 0 ? kWindowStart : 10 * (prefix - 1), 600};
    RC_ASSERT(tracker.position() == expected);
  }
}

}  // namespace
}  // namespace relevo::relay
