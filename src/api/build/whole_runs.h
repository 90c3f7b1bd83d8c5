// What whole runs of a compiled plan decide on a GPU, as far as the build's options let them: how steps are
// launched, and which of near ties of tactics a step runs (docs/decisions/0034).
#pragma once
#include <chrono>
#include <memory>

#include "backend/api/backend.h"
#include "base/phase_times.h"
#include "compiler/near_ties.h"
#include "kernel/kernel_def.h"
#include "plan/program.h"
#include "planish/build.h"
#include "tuner/tuner.h"

namespace planish::api {

struct WholeRuns {
  const v1::BuildOptions& options;
  std::shared_ptr<backend::Device> device, host;
  const kernel::KernelRegistry& kernels;
  tuner::TimeStore& times;
  std::chrono::steady_clock::time_point begin;  // of the build
};

// Launches, the caps, then tactics: each is compared with the plan as it is by then, and launches gain the
// most where time is short. Nothing is timed under --deterministic or for what decisions name.
// kResourceExhausted: the plan does not keep the caps.
planish::Status decide_by_whole_runs(plan::Plan& plan, const compiler::NearTies& ties, const WholeRuns& runs,
                                     PhaseTimes& phases);

}  // namespace planish::api
