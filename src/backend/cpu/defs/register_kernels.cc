#include "backend/cpu/defs/register_kernels.h"

namespace planish::cpu {

void register_cpu_kernels(kernel::KernelRegistry& registry) {
  register_content_kernel(registry);
  register_conv_kernels(registry);
  register_copy_kernels(registry);
  register_pointwise_kernel(registry);
}

}  // namespace planish::cpu
