#include "backend/cpu/kernels/rows/rows_inl.h"

namespace planish::cpu {

const RowKernels& rows_kernels_avx2() {
  static const RowKernels kernels = make_rows_kernels<VecAvx2>();
  return kernels;
}

}  // namespace planish::cpu
