#include "backend/cpu/kernels/depthwise/depthwise_inl.h"

namespace planish::cpu {

const DepthwiseKernels& depthwise_kernels_portable() {
  static const DepthwiseKernels kernels = make_depthwise_kernels<VecPortable>();
  return kernels;
}

}  // namespace planish::cpu
