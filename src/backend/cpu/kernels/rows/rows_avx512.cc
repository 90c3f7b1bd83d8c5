#include "backend/cpu/kernels/rows/rows_inl.h"

namespace planish::cpu {

const RowKernels& rows_kernels_avx512() {
  static const RowKernels kernels = make_rows_kernels<VecAvx512>();
  return kernels;
}

}  // namespace planish::cpu
