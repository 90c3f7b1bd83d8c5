#include "backend/cpu/kernels/pointwise/pointwise_inl.h"

namespace planish::cpu {

const PointwiseKernels& pointwise_kernels_avx512() { return make_pointwise_kernels<VecAvx512>(); }

}  // namespace planish::cpu
