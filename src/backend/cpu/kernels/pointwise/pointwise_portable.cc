#include "backend/cpu/kernels/pointwise/pointwise_inl.h"

namespace planish::cpu {

const PointwiseKernels& pointwise_kernels_portable() { return make_pointwise_kernels<VecPortable>(); }

}  // namespace planish::cpu
