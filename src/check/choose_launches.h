// choose_launches(): times whole runs of a plan with its steps launched in several ways, and keeps the
// fastest: branches on streams of their own where kernels leave room beside each other, programmatic
// launch where starting early does not take room from what still runs. A step alone cannot tell.
#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "backend/api/backend.h"
#include "kernel/kernel_def.h"
#include "plan/program.h"
#include "tuner/tuner.h"

namespace planish::check {

struct LaunchOptions {
  std::shared_ptr<backend::Device> host;
  std::vector<std::vector<int64_t>> input_dims;  // of the runs that are timed
  tuner::TimeStore* times = nullptr;             // what is known is not timed again
  std::function<bool()> out_of_time;             // null: never
  double seconds = 1.5;                          // for timing, at most
};

// Sets the launches of the plan's steps and notes them in its decisions and report. A plan that cannot be
// timed (steps on the host, no memory for it) stays as it is.
Status choose_launches(plan::Plan& plan, std::shared_ptr<backend::Device> device,
                       const kernel::KernelRegistry& kernels, const LaunchOptions& options);

}  // namespace planish::check
