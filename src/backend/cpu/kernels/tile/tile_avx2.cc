#include "backend/cpu/kernels/tile/tile_inl.h"

namespace planish::cpu {

const TileKernels& tile_kernels_avx2() {
  static const TileKernels kernels = make_tile_kernels<VecAvx2>();
  return kernels;
}

}  // namespace planish::cpu
