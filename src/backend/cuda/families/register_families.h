// Every family of CUDA kernels, one line each. In the order in which equal predictions are decided.
#pragma once
#include "kernel/kernel_def.h"

namespace planish::cuda {

void register_attention_plain(kernel::KernelRegistry& registry);
void register_attention_wgmma(kernel::KernelRegistry& registry);
void register_bottleneck(kernel::KernelRegistry& registry);
void register_copy(kernel::KernelRegistry& registry);
void register_cublaslt(kernel::KernelRegistry& registry);
void register_cudnn(kernel::KernelRegistry& registry);
void register_depthwise(kernel::KernelRegistry& registry);
void register_elements(kernel::KernelRegistry& registry);
void register_pointwise(kernel::KernelRegistry& registry);
void register_pool(kernel::KernelRegistry& registry);
void register_plain_contraction(kernel::KernelRegistry& registry);
void register_recurrent(kernel::KernelRegistry& registry);
void register_rows(kernel::KernelRegistry& registry);
void register_simt(kernel::KernelRegistry& registry);
void register_stack(kernel::KernelRegistry& registry);
void register_stem(kernel::KernelRegistry& registry);
void register_suppression(kernel::KernelRegistry& registry);
void register_tile_copy(kernel::KernelRegistry& registry);
void register_top_k(kernel::KernelRegistry& registry);
void register_wgmma(kernel::KernelRegistry& registry);
void register_window(kernel::KernelRegistry& registry);

// All of them. A line here, its definition in the family's file: nothing else knows families.
inline void register_families(kernel::KernelRegistry& registry) {
  register_copy(registry);
  register_pointwise(registry);
  register_rows(registry);
  register_stem(registry);
  register_wgmma(registry);
  register_window(registry);
  register_bottleneck(registry);
  register_stack(registry);
  register_plain_contraction(registry);
  register_depthwise(registry);
  register_pool(registry);
  register_simt(registry);
  register_attention_wgmma(registry);
  register_attention_plain(registry);
  register_recurrent(registry);
  register_suppression(registry);
  register_tile_copy(registry);
  register_top_k(registry);
  register_elements(registry);
  register_cublaslt(registry);
  register_cudnn(registry);
}

}  // namespace planish::cuda
