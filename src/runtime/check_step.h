// What must hold before a kernel is bound. A plan's bytes may be forged with right hashes: the reader
// knows the program's structure (plan::verify), not what its ops and kernels allow. This is asked per
// instance, on concrete dims, once for each step.
#pragma once
#include <functional>

#include "base/status.h"
#include "kernel/kernel_def.h"
#include "plan/program.h"

namespace planish::runtime {

// Whether a problem follows from its ops' definitions. The runtime does not know the ops; who makes
// an engine does (opdef::check_problem).
using ProblemCheck = std::function<Status(const kernel::Problem&)>;

// Ok when `kernel` may be bound to `problem`, the step's with its instance's dims. kDataLoss or
// kInvalidArgument says what is wrong with the plan or with the shapes, kUnsupported why the kernel
// does not take them. A null `check` trusts the problem to follow from its ops.
Status check_step(const plan::Step& step, const kernel::KernelDef& kernel,
                  const kernel::Problem& problem, const kernel::DeviceInfo& device,
                  const ProblemCheck& check);

}  // namespace planish::runtime
