// Measuring candidates against each other.
//
// A machine's speed drifts (clocks, neighbours, page placement), so one candidate after the other
// compares moments, not kernels. Here all candidates take one sample per round, round after round, and
// after the first in another order each time, for a device at its power limit hands a candidate the clocks
// that the one in front left; those without hope leave early, and each is judged by its median. How a
// sample is taken is the caller's affair, and so is the clock: tests plant both.
#pragma once
#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "base/status.h"

namespace planish::tuner {

struct MeasureOptions {
  int rounds = 7;
  int warm_up_rounds = 1;  // not in the median
  // Who is so many times slower than the best leaves, judged by the smallest sample, warm-up
  // included, for a busy neighbour only adds: after a warm-up round...
  double hopeless_cold = 8;
  // ... after the first round (and is sampled once more before, lest a neighbour decide)...
  double hopeless = 2;
  // ... after later ones.
  double hopeless_later = 1.5;
  // Asked before every sample; null: never. Candidates come best guess first, so that those are
  // measured when time runs out.
  std::function<bool()> out_of_time = {};
};

struct Measurement {
  double us = 0;         // median of the samples
  double spread_us = 0;  // half the interquartile range
  int samples = 0;       // 0: failed, or time ran out before
  bool dropped = false;  // left early as hopeless
  Status status;         // why it cannot run
};

// One sample of a candidate, in microseconds.
using Sampler = std::function<Result<double>(size_t candidate)>;

// One Measurement per candidate. One that fails, or whose time is no number, is out with its
// status; the others go on.
std::vector<Measurement> measure_rounds(size_t count, const Sampler& sample,
                                        const MeasureOptions& options);

// Index of the smallest median among those that stayed, the earlier of equals; nullopt when nothing
// was measured.
std::optional<size_t> fastest(std::span<const Measurement> measurements);

// Median and half the interquartile range of samples (not empty).
struct Summary {
  double median = 0, spread = 0;
};
Summary summarize(std::vector<double> samples);

}  // namespace planish::tuner
