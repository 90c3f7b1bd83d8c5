#include "backend/cpu/kernels/depthwise/depthwise_inl.h"

namespace planish::cpu {

const DepthwiseKernels& depthwise_kernels_avx512() {
  static const DepthwiseKernels kernels = make_depthwise_kernels<VecAvx512>();
  return kernels;
}

}  // namespace planish::cpu
