#include "tuner/measure.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "base/text.h"

namespace planish::tuner {
namespace {

// One run of measure_rounds.
class Race {
 public:
  Race(size_t count, const Sampler& sample, const MeasureOptions& options)
      : sample_(sample), options_(options), runners_(count), out_(count) {}

  std::vector<Measurement> run() {
    std::vector<size_t> order(runners_.size());
    std::iota(order.begin(), order.end(), size_t(0));
    std::minstd_rand random(1);
    for (int round = -options_.warm_up_rounds; round < options_.rounds && !late_; ++round) {
      if (round > 0) std::shuffle(order.begin(), order.end(), random);  // other neighbours, other clocks
      for (size_t i : order)
        if (!runners_[i].out) take_sample(i, round >= 0);
      if (round < 0)
        drop_hopeless(options_.hopeless_cold);
      else if (round > 0)
        drop_hopeless(options_.hopeless_later);
      else
        second_chance(), drop_hopeless(options_.hopeless);
    }
    for (size_t i = 0; i < runners_.size(); ++i) {
      Runner& r = runners_[i];
      // Who left in the warm-up has that for a time: good enough to be remembered as slow.
      if (r.samples.empty() && out_[i].dropped) r.samples.push_back(r.least);
      out_[i].samples = int(r.samples.size());
      if (r.samples.empty()) continue;
      const Summary summary = summarize(r.samples);
      out_[i].us = summary.median;
      out_[i].spread_us = summary.spread;
    }
    return std::move(out_);
  }

 private:
  struct Runner {
    std::vector<double> samples;
    double least = std::numeric_limits<double>::infinity();
    bool out = false;
  };

  void take_sample(size_t i, bool counts) {
    late_ = late_ || (options_.out_of_time && options_.out_of_time());
    if (late_) return;
    Runner& runner = runners_[i];
    auto us = sample_(i);
    if (us.ok() && (!(*us >= 0) || std::isinf(*us)))
      us = internal_error(cat("a time of ", *us, " us"));
    if (!us.ok()) {
      out_[i].status = us.status();
      runner.samples.clear();
      runner.out = true;
      return;
    }
    if (counts) runner.samples.push_back(*us);
    runner.least = std::min(runner.least, *us);
  }

  bool is_hopeless(const Runner& r, double factor) const {
    return !r.out && std::isfinite(r.least) && r.least > factor * best();
  }
  double best() const {
    double best = std::numeric_limits<double>::infinity();
    for (const Runner& r : runners_)
      if (!r.out) best = std::min(best, r.least);
    return best;
  }
  void second_chance() {
    for (size_t i = 0; i < runners_.size(); ++i)
      if (is_hopeless(runners_[i], options_.hopeless) &&
          !is_hopeless(runners_[i], options_.hopeless_cold))
        take_sample(i, true);
  }
  void drop_hopeless(double factor) {
    for (size_t i = 0; i < runners_.size(); ++i)
      if (is_hopeless(runners_[i], factor)) runners_[i].out = out_[i].dropped = true;
  }

  const Sampler& sample_;
  const MeasureOptions& options_;
  std::vector<Runner> runners_;
  std::vector<Measurement> out_;
  bool late_ = false;
};

}  // namespace

Summary summarize(std::vector<double> samples) {
  PLANISH_CHECK(!samples.empty(), "no samples");
  std::sort(samples.begin(), samples.end());
  // Linear between neighbours.
  const auto quantile = [&](double q) {
    const double at = q * double(samples.size() - 1);
    const size_t below = size_t(at), above = std::min(below + 1, samples.size() - 1);
    return samples[below] + (at - double(below)) * (samples[above] - samples[below]);
  };
  return {quantile(0.5), (quantile(0.75) - quantile(0.25)) / 2};
}

std::vector<Measurement> measure_rounds(size_t count, const Sampler& sample,
                                        const MeasureOptions& options) {
  return Race(count, sample, options).run();
}

std::optional<size_t> fastest(std::span<const Measurement> measurements) {
  std::optional<size_t> best;
  for (size_t i = 0; i < measurements.size(); ++i) {
    const Measurement& m = measurements[i];
    if (m.samples == 0 || m.dropped) continue;
    if (!best || m.us < measurements[*best].us) best = i;
  }
  return best;
}

}  // namespace planish::tuner
