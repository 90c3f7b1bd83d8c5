// RunRace: whole runs of a program carried out in two ways, timed in turns, for what a step alone cannot
// tell. What was timed once is in the timing cache, so that a later build decides the same and times
// nothing.
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backend/api/backend.h"
#include "compiler/launches.h"
#include "kernel/kernel_def.h"
#include "plan/program.h"
#include "runtime/context.h"
#include "tuner/tuner.h"

namespace planish::check {

struct RaceOptions {
  std::shared_ptr<backend::Device> host;
  std::vector<std::vector<int64_t>> input_dims;  // of the runs that are timed
  tuner::TimeStore* times = nullptr;             // what is known is not timed again
  std::function<bool()> out_of_time;             // null: never
  double seconds = 1.5;                          // for timing, at most
};

std::string describe_launches(const std::vector<plan::Launch>& launches);

class RunRace {
 public:
  // `name`: of what is decided. `program` as it is before, and what `detail` says of it, decide the times
  // together with the ways.
  RunRace(std::string name, const plan::Program& program, const std::string& detail,
          std::shared_ptr<backend::Device> device, const kernel::KernelRegistry& kernels,
          const RaceOptions& options);

  struct Way {
    std::shared_ptr<const runtime::Engine> engine;
    std::vector<plan::Launch> launches;  // empty: the plan's
  };
  struct Ways {
    Way current, other;
  };
  struct Outcome {
    double current_us = 0, other_us = 0;
    bool taken = false;  // the other way is faster by enough
  };
  // `key` names both ways, `what` the difference for the log; `make` gives the ways when they must be timed.
  // nullopt: their times are not known, and there is no time to find out, or no way to.
  std::optional<Outcome> compare(const std::string& what, const std::string& key,
                                 const std::function<Result<Ways>()>& make);
  // All that was wanted has been compared. What this build's options gave no time for, later ones do not
  // begin either: they would decide otherwise.
  void end();

  const compiler::RaceOfRuns& summary() const { return summary_; }
  Result<std::shared_ptr<const runtime::Engine>> engine_of(const plan::Program& program) const;

 private:
  bool late() const;
  std::optional<std::pair<double, double>> measure(const std::function<Result<Ways>()>& make);
  Status make_inputs(const plan::Program& program);
  Result<std::unique_ptr<runtime::ExecutionContext>> context_of(const Way& way);

  const std::string name_;
  std::string subject_;  // begins every key
  const std::shared_ptr<backend::Device> device_;
  const kernel::KernelRegistry& kernels_;
  const RaceOptions& options_;
  const std::chrono::steady_clock::time_point begin_;
  compiler::RaceOfRuns summary_;
  bool failed_ = false;
  bool ended_ = false;  // an earlier build timed all that it wanted
  std::vector<std::unique_ptr<backend::Memory>> inputs_;
};

}  // namespace planish::check
