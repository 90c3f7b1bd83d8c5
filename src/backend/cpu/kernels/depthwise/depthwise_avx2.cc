#include "backend/cpu/kernels/depthwise/depthwise_inl.h"

namespace planish::cpu {

const DepthwiseKernels& depthwise_kernels_avx2() {
  static const DepthwiseKernels kernels = make_depthwise_kernels<VecAvx2>();
  return kernels;
}

}  // namespace planish::cpu
