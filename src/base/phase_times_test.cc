#include "base/phase_times.h"

#include <gtest/gtest.h>

namespace planish {
namespace {

TEST(PhaseTimes, InnerScopesStopTheClockOfTheOuter) {
  PhaseTimes times;
  const auto begin = PhaseTimes::Clock::now();
  {
    PhaseTimes::Scope all(&times, "all");
    for (int i = 0; i < 3; ++i) {
      PhaseTimes::Scope one(&times, "one");
      PhaseTimes::Scope two(&times, "two");
    }
    EXPECT_EQ(times.list().size(), 3u);
  }
  const double passed = std::chrono::duration<double>(PhaseTimes::Clock::now() - begin).count();
  ASSERT_EQ(times.list().size(), 3u);
  EXPECT_EQ(times.list()[0].first, "all");
  EXPECT_EQ(times.list()[1].first, "one");
  EXPECT_EQ(times.list()[2].first, "two");
  double sum = 0;
  for (const auto& [name, seconds] : times.list()) {
    EXPECT_GE(seconds, 0) << name;
    sum += seconds;
  }
  EXPECT_GT(sum, 0);
  EXPECT_LE(sum, passed);  // nothing is counted twice
}

TEST(PhaseTimes, NothingIsCountedWithoutATable) {
  PhaseTimes::Scope scope(nullptr, "nobody's");
}

}  // namespace
}  // namespace planish
