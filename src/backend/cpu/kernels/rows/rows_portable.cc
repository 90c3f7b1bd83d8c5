#include "backend/cpu/kernels/rows/rows_inl.h"

namespace planish::cpu {

const RowKernels& rows_kernels_portable() {
  static const RowKernels kernels = make_rows_kernels<VecPortable>();
  return kernels;
}

}  // namespace planish::cpu
