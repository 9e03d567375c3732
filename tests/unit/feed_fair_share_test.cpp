#include <gtest/gtest.h>

#include <numeric>

#include "relevo/feed/fair_share.hpp"

namespace relevo::feed {
namespace {

TEST(FairShare, IsEvenGiveOrTakeOneAndLeavesNothing) {
  for (int replicas = 1; replicas <= 20; ++replicas) {
    std::vector<std::string> alive;
    for (int i = 0; i < replicas; ++i) alive.push_back("replica-" + std::to_string(i));
    for (const int slices : {1, 8, 16, 256}) {
      int sum = 0;
      for (const auto& holder : alive) {
        const int share = fair_share(alive, holder, slices);
        EXPECT_GE(share, slices / replicas);
        EXPECT_LE(share, slices / replicas + 1);
        sum += share;
      }
      EXPECT_EQ(sum, slices) << replicas << " replicas";
    }
  }
}

TEST(FairShare, IsNothingForAReplicaThatIsNotSeenAlive) {
  const std::vector<std::string> alive{"a", "b"};
  EXPECT_EQ(fair_share(alive, "c", 8), 0);
  EXPECT_EQ(fair_share({}, "a", 8), 0);
}

}  // namespace
}  // namespace relevo::feed
