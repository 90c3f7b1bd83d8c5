// The CPU's kernels as KernelDefs: one function per family, listed in register_kernels.cc.
#pragma once
#include "kernel/kernel_def.h"

namespace planish::cpu {

void register_cpu_kernels(kernel::KernelRegistry& registry);

// One per family file of this folder.
void register_attention_kernel(kernel::KernelRegistry& registry);
void register_bottleneck_kernel(kernel::KernelRegistry& registry);
void register_content_kernel(kernel::KernelRegistry& registry);
void register_conv_kernels(kernel::KernelRegistry& registry);
void register_conv_transpose_kernel(kernel::KernelRegistry& registry);
void register_copy_kernels(kernel::KernelRegistry& registry);
void register_fill_kernels(kernel::KernelRegistry& registry);
void register_gather_kernel(kernel::KernelRegistry& registry);
void register_index_nd_kernel(kernel::KernelRegistry& registry);
void register_lrn_kernel(kernel::KernelRegistry& registry);
void register_matmul_kernels(kernel::KernelRegistry& registry);
void register_movement_kernels(kernel::KernelRegistry& registry);
void register_non_max_suppression_kernel(kernel::KernelRegistry& registry);
void register_pointwise_kernel(kernel::KernelRegistry& registry);
void register_pool_kernels(kernel::KernelRegistry& registry);
void register_recurrent_kernel(kernel::KernelRegistry& registry);
void register_resize_kernel(kernel::KernelRegistry& registry);
void register_row_kernels(kernel::KernelRegistry& registry);
void register_top_k_kernel(kernel::KernelRegistry& registry);

}  // namespace planish::cpu
