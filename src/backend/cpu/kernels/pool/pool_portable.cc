#include "backend/cpu/kernels/pool/pool_inl.h"

namespace planish::cpu {

const PoolKernels& pool_kernels_portable() {
  static const PoolKernels kernels = make_pool_kernels<VecPortable>();
  return kernels;
}

}  // namespace planish::cpu
