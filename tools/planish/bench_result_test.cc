#include "bench_result.h"

#include <gtest/gtest.h>

namespace planish::cli {
namespace {

TEST(Bench, CountsFromTheFirstBeginToTheLastEnd) {
  EXPECT_EQ(covered_seconds({}), 0);
  EXPECT_DOUBLE_EQ(covered_seconds({{0, 4}}), 0.004);
  // The second began before the first, the third ended last.
  EXPECT_DOUBLE_EQ(covered_seconds({{0, 4}, {-1, 3}, {2, 9}}), 0.010);
}

TEST(Bench, PercentilesAreByNearestRank) {
  const LatencyStats stats = latency_stats({4, 1, 3, 2});
  EXPECT_EQ(stats.min, 1);
  EXPECT_EQ(stats.median, 2.5);
  EXPECT_EQ(stats.p90, 4);
  EXPECT_EQ(stats.mean, 2.5);
}

}  // namespace
}  // namespace planish::cli
