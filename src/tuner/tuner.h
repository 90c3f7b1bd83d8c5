// Tuner: times candidates for one concrete problem on one device, honestly.
//
// Each candidate of a problem gets buffers of random data (never zeros), and all run in interleaved
// rounds (measure.h); the median counts; long ones on a device with memory of its own when its clocks have
// settled (warmth.h). Results go through the timing cache, keyed by everything that changes them. One Tuner
// serves one build on one thread.
#pragma once
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "backend/api/backend.h"
#include "base/thread_team.h"
#include "kernel/kernel_def.h"
#include "tuner/buffer_sets.h"
#include "tuner/warmth.h"

namespace planish::tuner {

// Where measured times are kept between builds.
class TimeStore {
 public:
  virtual ~TimeStore() = default;
  virtual std::optional<double> find(const std::string& key) const = 0;
  virtual void put(const std::string& key, double us, double spread_us) = 0;
};

struct Candidate {
  const kernel::KernelDef* kernel = nullptr;
  kernel::Tactic tactic;
  const kernel::Problem* problem = nullptr;  // concrete, with this candidate's layouts
  double predicted_us = 0;
  double measured_us = -1;
  std::string refused;  // set when binding or running failed
};

struct TunerOptions {
  int rounds = 7;
  double hopeless_factor = 2;     // behind the best by this after the first round: out
  double drop_factor = 1.5;       // likewise after the second
  double max_us_per_problem = 2e5;
  std::function<double()> now_us;  // a test's clock; null: the steady clock
  std::function<bool()> out_of_time;  // the build's budget or cancel; null: never
  double long_us = 30;            // predictions from here on are of kernels that keep a device busy
  Warmth* warmth = nullptr;       // the device's, where several tuners use it; null: the tuner's own
};

class Tuner {
 public:
  Tuner(backend::Device& device, TimeStore* store, TunerOptions options);
  // Fills measured_us (or refused) of every candidate; those known to the store are not run.
  // `constants`: row-major data of constant operands by position.
  Status measure(std::span<Candidate> candidates, std::span<const ir::Tensor> constants);
  bool is_known(const Candidate& candidate) const {
    return store_ && store_->find(key(candidate)).has_value();
  }
  // Only what the store knows; runs nothing.
  Status look_up(std::span<Candidate> candidates);
  int measured_count() const { return measured_count_; }
  int cached_count() const { return cached_count_; }

 private:
  struct Bound;
  std::string key(const Candidate& candidate) const;
  bool is_long(const Candidate& candidate) const;  // and therefore timed with settled clocks
  Status bind(Bound& bound, std::span<const ir::Tensor> constants) const;
  void bind_all(std::vector<Bound>& all, std::span<const ir::Tensor> constants) const;
  Status give_memory(Bound& bound, std::span<const ir::Tensor> constants);
  Result<double> sample(const Bound& bound);
  void settle_clocks(const std::vector<Bound>& running);

  backend::Device& device_;
  TimeStore* store_;
  BufferSets sets_;
  TunerOptions options_;
  ThreadTeam team_;
  Warmth own_warmth_;
  int measured_count_ = 0, cached_count_ = 0;
};

}  // namespace planish::tuner
