// The V x V transpose with tails; included by reorder_<isa>.cc only.
#pragma once

#include "backend/cpu/kernels/reorder/reorder.h"
#include "backend/cpu/kernels/simd/transpose.h"

namespace planish::cpu {

template <class V>
void transpose_block(const float* input, int64_t input_row, int rows, int columns, float* output,
                     int64_t output_row, int fill) {
  constexpr int W = V::kWidth;
  V r[W];
  if (rows == W && columns == W) {
    PLANISH_UNROLL(16) for (int i = 0; i < W; i++) r[i] = V::load(input + i * input_row);
    transpose_square(r);
    PLANISH_UNROLL(16) for (int i = 0; i < W; i++) r[i].store(output + i * output_row);
    return;
  }
  for (int i = 0; i < W; i++) r[i] = i < rows ? V::load(input + i * input_row, columns) : V::zero();
  transpose_square(r);
  for (int i = 0; i < columns; i++) r[i].store(output + i * output_row, fill);
}

template <class V>
constexpr ReorderKernels make_reorder_kernels() {
  return {&transpose_block<V>};
}

}  // namespace planish::cpu
