// The kernel for two 1x1 convolutions, which register_bottleneck() registers with its own.
#pragma once
#include "kernel/kernel_def.h"

namespace planish::cuda {

void register_pair(kernel::KernelRegistry& registry);

}  // namespace planish::cuda
