#include "backend/cpu/defs/register_kernels.h"

namespace planish::cpu {

void register_cpu_kernels(kernel::KernelRegistry& registry) {
  register_attention_kernel(registry);
  register_bottleneck_kernel(registry);
  register_content_kernel(registry);
  register_conv_kernels(registry);
  register_conv_transpose_kernel(registry);
  register_copy_kernels(registry);
  register_fill_kernels(registry);
  register_gather_kernel(registry);
  register_index_nd_kernel(registry);
  register_lrn_kernel(registry);
  register_matmul_kernels(registry);
  register_movement_kernels(registry);
  register_non_max_suppression_kernel(registry);
  register_pointwise_kernel(registry);
  register_pool_kernels(registry);
  register_recurrent_kernel(registry);
  register_resize_kernel(registry);
  register_row_kernels(registry);
  register_top_k_kernel(registry);
}

}  // namespace planish::cpu
