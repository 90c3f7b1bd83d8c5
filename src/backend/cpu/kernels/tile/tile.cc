#include "backend/cpu/kernels/tile/tile.h"

namespace planish::cpu {

const TileKernels& tile_kernels(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::kAvx512) return tile_kernels_avx512();
  if (isa == Isa::kAvx2) return tile_kernels_avx2();
#endif
  (void)isa;
  return tile_kernels_portable();
}

}  // namespace planish::cpu
