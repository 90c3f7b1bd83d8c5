// A kernel's choice of layouts written into a problem's types.
#pragma once
#include "kernel/kernel_def.h"

namespace planish::kernel {

// Operands and results that the choice does not name stay as they are, and so do results that are
// operands.
void set_layouts(Problem& problem, const LayoutChoice& layouts);

}  // namespace planish::kernel
