#include "backend/cpu/kernels/winograd/winograd_inl.h"

namespace planish::cpu {

const WinogradKernels& winograd_kernels_portable() {
  static const WinogradKernels kernels = make_winograd_kernels<VecPortable>();
  return kernels;
}

}  // namespace planish::cpu
