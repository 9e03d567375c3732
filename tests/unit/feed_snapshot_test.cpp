#include <gtest/gtest.h>

#include <stdexcept>

#include "relevo/feed/snapshot.hpp"

namespace relevo::feed {
namespace {

TEST(Snapshot, ReadsWhatPostgresWrites) {
  const auto s = Snapshot::parse("10:20:12,15");
  EXPECT_EQ(s.xmin(), 10U);
  EXPECT_EQ(s.xmax(), 20U);
  ASSERT_EQ(s.in_progress().size(), 2U);
  EXPECT_EQ(s.in_progress()[1], 15U);
  EXPECT_EQ(s.text(), "10:20:12,15");
}

TEST(Snapshot, SeesExactlyTheFinishedTransactions) {
  const auto s = Snapshot::parse("10:20:12,15");
  struct {
    Xid xid;
    bool seen;
  } const cases[] = {{1, true},  {9, true},   {10, true}, {11, true},  {12, false},
                     {14, true}, {15, false}, {19, true}, {20, false}, {4'294'967'296, false}};
  for (const auto& c : cases) EXPECT_EQ(s.sees(c.xid), c.seen) << c.xid;
}

TEST(Snapshot, TellsXidsBeyond32BitsApart) {
  const auto s = Snapshot::parse("4294967300:4294967310:4294967305");
  EXPECT_TRUE(s.sees(5));
  EXPECT_FALSE(s.sees(4'294'967'305));
  EXPECT_TRUE(s.sees(4'294'967'306));
}

TEST(Snapshot, RefusesWhatPostgresNeverWrites) {
  for (const auto* text : {"", ":", "1", "1:2", "1:2:x", "1:2:3", "x:2:", "5:4:", "1:9:4,3",
                           "1:9:3,3", "1:9:3,", "0:1:", "1:2: ", "-1:2:"}) {
    EXPECT_THROW(Snapshot::parse(text), std::invalid_argument) << '"' << text << '"';
  }
}

TEST(LateXids, AreThoseInProgressBeforeAndFinishedNow) {
  const auto a = Snapshot::parse("10:20:10,12,15");
  const auto b = Snapshot::parse("12:30:12,25");
  EXPECT_EQ(late_xids(a, b), (std::vector<Xid>{10, 15}));
  EXPECT_TRUE(late_xids(a, a).empty());
}

}  // namespace
}  // namespace relevo::feed
