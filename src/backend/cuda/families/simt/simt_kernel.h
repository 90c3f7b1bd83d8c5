// Prints products on the plain cores: block tiles through shared memory, a register tile a thread,
// the next tile on its way while the current one is multiplied. Elements of both operands come
// through ElementEmitter, so any layout, padding and operand expression is taken; sums are fp32
// (fp64).
#pragma once
#include "backend/cuda/emit/emitted_kernel.h"
#include "backend/cuda/families/simt/product_view.h"

namespace planish::cuda {

struct SimtTile {
  int q = 64, p = 64, k = 16;  // of a block
  int tq = 4, tp = 4;          // of a thread
  int threads() const { return q / tq * (p / tp); }
};

Result<EmittedKernel> emit_simt(const kernel::Problem& problem, const ProductView& view,
                                const SimtTile& tile);

}  // namespace planish::cuda
