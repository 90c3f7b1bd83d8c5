// choose_launches(): times whole runs of a plan with its steps launched in several ways, and keeps the
// fastest: branches on streams of their own where kernels leave room beside each other, programmatic
// launch where starting early does not take room from what still runs. A step alone cannot tell.
#pragma once
#include <memory>

#include "check/run_race.h"

namespace planish::check {

// Sets the launches of the plan's steps and notes them in its decisions and report. A plan that cannot be
// timed (steps on the host, no memory for it) stays as it is.
Status choose_launches(plan::Plan& plan, std::shared_ptr<backend::Device> device,
                       const kernel::KernelRegistry& kernels, const RaceOptions& options);

}  // namespace planish::check
