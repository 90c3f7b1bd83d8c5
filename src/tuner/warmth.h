// Warmth: how long a device has worked of late. Its power limit leaves a GPU that works on end less than its
// highest clocks (an H200 falls from 1,980 to some 1,400 MHz within half a second), and kernels change places with
// that: memory keeps its pace. What works on end when it is used, the steps of a large batch, is therefore timed
// on a device that has worked that long. Idle time cools as work heats.
//
// One per build, on its thread.
#pragma once
#include <algorithm>

namespace planish::tuner {

class Warmth {
 public:
  static constexpr double kSettledUs = 5e5;

  // Times of one clock, each call's behind the last one's.
  void worked(double begin_us, double end_us) {
    us_ = std::min(kSettledUs, at(begin_us) + end_us - begin_us);
    end_us_ = end_us;
  }
  bool settled(double now_us) const { return at(now_us) >= 0.9 * kSettledUs; }

 private:
  double at(double now_us) const { return std::max(0.0, us_ - (now_us - end_us_)); }

  double us_ = 0, end_us_ = 0;
};

}  // namespace planish::tuner
