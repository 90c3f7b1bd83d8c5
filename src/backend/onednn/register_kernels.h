// oneDNN's kernels as KernelDefs for device "cpu": one function per family.
#pragma once
#include "kernel/kernel_def.h"

namespace planish::onednn {

void register_conv_kernels(kernel::KernelRegistry& registry);
void register_matmul_kernel(kernel::KernelRegistry& registry);
void register_pool_kernel(kernel::KernelRegistry& registry);

}  // namespace planish::onednn
