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

TEST(Bench, TheLargerOfTwoTimesIsTheCeiling) {
  StepCost cost;
  EXPECT_STREQ(ceiling_of(cost, 10).unit, "");
  cost.flops = 2e9;         // 2 us
  cost.bytes_moved = 8000;  // 8 us
  cost.peak_flops = 1e15;
  cost.peak_bytes_per_s = 1e9;
  EXPECT_STREQ(ceiling_of(cost, 16).unit, "memory");
  EXPECT_DOUBLE_EQ(ceiling_of(cost, 16).fraction, 0.5);
  cost.bytes_moved = 1000;
  EXPECT_STREQ(ceiling_of(cost, 16).unit, "plain cores");
  EXPECT_DOUBLE_EQ(ceiling_of(cost, 16).fraction, 0.125);
  cost.tensor_cores = true;
  EXPECT_STREQ(ceiling_of(cost, 16).unit, "tensor cores");
}

TEST(Bench, WarnsWhereTheHostOrTheCopiesBoundTheRun) {
  RunTimes times{.h2d_us = 20, .compute_us = 100, .d2h_us = 30, .enqueue_us = 40};
  EXPECT_EQ(bound_by(times), "");
  times.d2h_us = 90;
  EXPECT_NE(bound_by(times).find("copies bound the run"), std::string::npos);
  times.enqueue_us = 101;
  EXPECT_NE(bound_by(times).find("the host bounds the run"), std::string::npos);
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
