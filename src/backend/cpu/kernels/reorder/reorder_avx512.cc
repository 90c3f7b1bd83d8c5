#include "backend/cpu/kernels/reorder/reorder_inl.h"

namespace planish::cpu {

const ReorderKernels& reorder_kernels_avx512() {
  static const ReorderKernels kernels = make_reorder_kernels<VecAvx512>();
  return kernels;
}

}  // namespace planish::cpu
