#include "backend/cpu/kernels/pointwise/pointwise_inl.h"

namespace planish::cpu {

const PointwiseKernels& pointwise_kernels_avx2() { return make_pointwise_kernels<VecAvx2>(); }

}  // namespace planish::cpu
