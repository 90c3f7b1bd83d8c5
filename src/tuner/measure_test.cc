#include "tuner/measure.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace planish::tuner {
namespace {

TEST(Summarize, MedianAndHalfTheInterquartileRange) {
  EXPECT_EQ(summarize({3}).median, 3);
  EXPECT_EQ(summarize({3}).spread, 0);
  EXPECT_EQ(summarize({4, 1, 3, 2, 5}).median, 3);
  EXPECT_EQ(summarize({4, 1, 3, 2, 5}).spread, 1);
  EXPECT_EQ(summarize({1, 2}).median, 1.5);
}

TEST(MeasureRounds, PicksThePlantedFastestInNoise) {
  for (unsigned seed = 0; seed < 50; ++seed) {
    std::mt19937 random(seed);
    const size_t planted = random() % 12;
    const auto sample = [&](size_t i) -> Result<double> {
      const double base = i == planted ? 100 : 112 + double(i);
      // A few percent of jitter, and now and then a busy neighbour.
      return base * (1 + double(random() % 40) / 1000) * (random() % 8 == 0 ? 3 : 1);
    };
    EXPECT_EQ(fastest(measure_rounds(12, sample, {.rounds = 11})), planted) << "seed " << seed;
  }
}

TEST(MeasureRounds, DriftHitsAllAlike) {
  // The machine gets 10 % slower with every sample: whoever is measured last in turn looks worst,
  // unless the rounds are interleaved.
  double speed = 1;
  const double truth[] = {100, 103, 97};
  const auto sample = [&](size_t i) -> Result<double> { return truth[i] * (speed *= 1.002); };
  EXPECT_EQ(fastest(measure_rounds(3, sample, {})), 2u);
}

TEST(MeasureRounds, HopelessOnesLeaveAfterTheFirstRound) {
  int calls[3] = {};
  const double truth[] = {100, 500, 130};
  const auto sample = [&](size_t i) -> Result<double> { return ++calls[i], truth[i]; };
  const auto got = measure_rounds(3, sample, {.rounds = 9, .warm_up_rounds = 1});
  EXPECT_EQ(calls[0], 10);
  EXPECT_EQ(calls[1], 3);  // warm-up, first round, second chance
  EXPECT_EQ(calls[2], 10);
  EXPECT_TRUE(got[1].dropped);
  EXPECT_EQ(got[1].samples, 2);
  EXPECT_FALSE(got[0].dropped);
  EXPECT_EQ(fastest(got), 0u);
}

TEST(MeasureRounds, TheFarBehindLeaveInTheWarmUpWithATime) {
  int calls[2] = {};
  const double truth[] = {100, 90000};
  const auto sample = [&](size_t i) -> Result<double> { return ++calls[i], truth[i]; };
  const auto got = measure_rounds(2, sample, {});
  EXPECT_EQ(calls[1], 1);
  EXPECT_EQ(got[1].us, 90000);
  EXPECT_TRUE(got[1].dropped);
}

TEST(MeasureRounds, ADisturbedFirstRoundDropsNobody) {
  int calls = 0;
  const auto sample = [&](size_t i) -> Result<double> {
    if (i == 0) return 120.0;
    return ++calls <= 2 ? 300.0 : 100.0;  // warm-up and first round met a neighbour
  };
  EXPECT_EQ(fastest(measure_rounds(2, sample, {})), 1u);
}

// A device at its power limit: who runs behind a hot kernel gets lower clocks.
TEST(MeasureRounds, NobodyStandsBehindTheSameNeighbourForever) {
  size_t before = 0;
  const auto sample = [&](size_t i) -> Result<double> {
    const double clocks = before == 2 ? 0.8 : 1.0;
    before = i;
    return (i == 3 ? 95.0 : 100.0) / clocks;
  };
  EXPECT_EQ(fastest(measure_rounds(6, sample, {})), 3u);
}

TEST(MeasureRounds, WarmUpDoesNotCount) {
  int calls = 0;
  const auto sample = [&](size_t) -> Result<double> { return ++calls <= 2 ? 1e6 : 10.0; };
  EXPECT_EQ(measure_rounds(1, sample, {.rounds = 3, .warm_up_rounds = 2})[0].us, 10);
}

TEST(MeasureRounds, DeadlineLeavesTheFirstMeasured) {
  double now = 0;
  MeasureOptions options;
  options.warm_up_rounds = 0;
  options.out_of_time = [&] { return now >= 250; };
  const auto got = measure_rounds(
      5, [&](size_t) -> Result<double> { return now += 100, 100.0; }, options);
  EXPECT_EQ(now, 300);
  EXPECT_EQ(got[0].samples, 1);
  EXPECT_EQ(got[2].samples, 1);
  EXPECT_EQ(got[3].samples, 0);
  EXPECT_EQ(fastest(got), 0u);
}

TEST(MeasureRounds, FailuresAndNonsenseAreOut) {
  const auto sample = [](size_t i) -> Result<double> {
    if (i == 0) return unsupported("cannot run");
    if (i == 1) return std::nan("");
    if (i == 2) return std::numeric_limits<double>::infinity();
    if (i == 3) return -1.0;
    return 100.0;
  };
  const auto got = measure_rounds(5, sample, {});
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_FALSE(got[i].status.ok());
    EXPECT_EQ(got[i].samples, 0);
  }
  EXPECT_EQ(fastest(got), 4u);
  EXPECT_EQ(fastest(measure_rounds(4, sample, {})), std::nullopt);
  EXPECT_EQ(fastest(measure_rounds(0, sample, {})), std::nullopt);
}

}  // namespace
}  // namespace planish::tuner
