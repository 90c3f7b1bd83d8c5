#include "backend/cpu/kernels/pool/pool_inl.h"

namespace planish::cpu {

const PoolKernels& pool_kernels_avx2() {
  static const PoolKernels kernels = make_pool_kernels<VecAvx2>();
  return kernels;
}

}  // namespace planish::cpu
