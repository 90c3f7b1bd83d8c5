#include "backend/cpu/kernels/reorder/reorder_inl.h"

namespace planish::cpu {

const ReorderKernels& reorder_kernels_portable() {
  static const ReorderKernels kernels = make_reorder_kernels<VecPortable>();
  return kernels;
}

}  // namespace planish::cpu
