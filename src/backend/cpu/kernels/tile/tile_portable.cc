#include "backend/cpu/kernels/tile/tile_inl.h"

namespace planish::cpu {

const TileKernels& tile_kernels_portable() {
  static const TileKernels kernels = make_tile_kernels<VecPortable>();
  return kernels;
}

}  // namespace planish::cpu
