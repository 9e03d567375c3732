#include "pace.hpp"

#include <gtest/gtest.h>

namespace relevo {
namespace {

using namespace std::chrono_literals;

core::BootTime at(std::chrono::nanoseconds time) { return core::BootTime(1h + time); }

TEST(PaceTest, WhatIsQuickIsDoneAtItsInterval) {
  Pace pace(1s);
  EXPECT_TRUE(pace.due(at(0s)));
  pace.began(at(0s));
  pace.ended(at(20ms));
  EXPECT_EQ(pace.interval(), 1s);
  EXPECT_FALSE(pace.due(at(999ms)));
  EXPECT_TRUE(pace.due(at(1s)));
}

TEST(PaceTest, WhatIsSlowTakesAFiftiethOfTheTime) {
  Pace pace(1s);
  pace.began(at(0s));
  pace.ended(at(100ms));
  EXPECT_EQ(pace.interval(), 5s);
  EXPECT_FALSE(pace.due(at(4'999ms)));
  EXPECT_TRUE(pace.due(at(5s)));
  pace.began(at(5s));
  pace.ended(at(5'001ms));
  EXPECT_EQ(pace.interval(), 1s) << "quick again";
}

TEST(PaceTest, AFailureOfAnythingElseChangesNothing) {
  Pace pace(1s);
  pace.began(at(0s));
  pace.ended(at(100ms));
  pace.ended(at(50s));
  EXPECT_TRUE(pace.due(at(5s)));
  EXPECT_EQ(pace.interval(), 5s);
}

}  // namespace
}  // namespace relevo
