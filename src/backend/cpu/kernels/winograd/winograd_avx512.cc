#include "backend/cpu/kernels/winograd/winograd_inl.h"

namespace planish::cpu {

const WinogradKernels& winograd_kernels_avx512() {
  static const WinogradKernels kernels = make_winograd_kernels<VecAvx512>();
  return kernels;
}

}  // namespace planish::cpu
