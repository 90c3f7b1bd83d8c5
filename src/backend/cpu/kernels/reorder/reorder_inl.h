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
void split_columns(const float* input, int64_t input_row, int64_t rows, int64_t blocks,
                   float* output, int64_t output_block) {
  constexpr int W = V::kWidth;
  // Neighbouring lines of a row together: rows are often pages apart.
  constexpr int64_t kTogether = 4;
  int64_t b = 0;
  for (; b + kTogether <= blocks; b += kTogether) {
    const float* from = input + b * W;
    float* to = output + b * output_block;
    for (int64_t r = 0; r < rows; r++, from += input_row, to += W) {
      PLANISH_UNROLL(4) for (int64_t i = 0; i < kTogether; i++)
        V::load(from + i * W).store(to + i * output_block);
    }
  }
  for (; b < blocks; b++) {
    for (int64_t r = 0; r < rows; r++)
      V::load(input + r * input_row + b * W).store(output + b * output_block + r * W);
  }
}

template <class V>
constexpr ReorderKernels make_reorder_kernels() {
  return {&transpose_block<V>, &split_columns<V>};
}

}  // namespace planish::cpu
