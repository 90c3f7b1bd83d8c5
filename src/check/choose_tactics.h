// choose_tactics(): where a step could as well run another tactic, whole runs decide. A step is timed alone,
// on a device that nothing else uses; in a network it begins while the step in front still runs, its
// neighbour's weights come beside it, and of two tactics that are equal alone one may leave more room.
#pragma once
#include <memory>

#include "check/run_race.h"
#include "compiler/near_ties.h"

namespace planish::check {

// Exchanges near ties in the heaviest groups of like steps where a whole run, launched as the plan says, is
// faster, and notes it in the plan's decisions and report. A plan that cannot be timed (steps on the host,
// no memory for it) stays as it is.
Status choose_tactics(plan::Plan& plan, const compiler::NearTies& ties,
                      std::shared_ptr<backend::Device> device, const kernel::KernelRegistry& kernels,
                      const RaceOptions& options);

}  // namespace planish::check
