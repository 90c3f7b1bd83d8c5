// The control kernel: If, Loop and Scan by their ops' own reference code (trip counts, carried values,
// stacking), whose bodies the runtime runs as programs.
#pragma once
#include <memory>

#include "kernel/control_kernel.h"
#include "opdef/op_def.h"

namespace planish::eval {

// Named "control"; of the CPU. `registry` outlives it.
std::unique_ptr<kernel::ControlKernel> make_control_kernel(const opdef::OpRegistry& registry);

}  // namespace planish::eval
