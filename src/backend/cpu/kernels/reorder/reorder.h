// Changes of activation layout: NCHW or NHWC to and from blocked [n][c / V][h][w][V], and
// transposes of the two inner axes, which are the same work.
//
// All of them are bound by memory; the planar ones go through V x V transposes in registers.
// Blocked outputs get zeros in the channel padding.
#pragma once

#include <cstdint>

#include "backend/cpu/kernels/isa.h"

namespace planish {
class ThreadTeam;
}

namespace planish::cpu {

struct ReorderShape {
  int64_t batch = 1, channels = 0, pixels = 0;  // pixels: height * width
  int64_t blocked_batch_stride = 0;  // floats from image to image on the blocked side; 0: dense
};

void reorder_nchw_to_blocked(const float* input, float* output, const ReorderShape& shape, Isa isa,
                             ThreadTeam& team);
void reorder_nhwc_to_blocked(const float* input, float* output, const ReorderShape& shape, Isa isa,
                             ThreadTeam& team);
void reorder_blocked_to_nchw(const float* input, float* output, const ReorderShape& shape, Isa isa,
                             ThreadTeam& team);
void reorder_blocked_to_nhwc(const float* input, float* output, const ReorderShape& shape, Isa isa,
                             ThreadTeam& team);

// output[b][c][r] = input[b][r][c]; rows of the input are input_row floats apart, matrices
// input_batch.
struct TransposeShape {
  int64_t batch = 1, rows = 0, columns = 0;
  int64_t input_row = 0, input_batch = 0, output_row = 0, output_batch = 0;  // 0: dense
};
void transpose_inner(const float* input, float* output, const TransposeShape& shape, Isa isa,
                     ThreadTeam& team);

// A strided copy of up to kMaxCopyAxes axes, outermost first; neighbouring axes that are contiguous
// in both tensors should be merged by the caller. Strides are in floats and may be 0 (broadcast
// input).
constexpr int kMaxCopyAxes = 6;
struct CopyShape {
  int axes = 0;
  int64_t size[kMaxCopyAxes] = {}, input_stride[kMaxCopyAxes] = {},
          output_stride[kMaxCopyAxes] = {};
};
void strided_copy(const float* input, float* output, const CopyShape& shape, ThreadTeam& team);

// What the families above are made of.
struct ReorderKernels {
  // output[c][r] = input[r][c] for rows <= V, columns <= V; output rows are filled with zeros up to
  // fill >= rows.
  void (*transpose)(const float* input, int64_t input_row, int rows, int columns, float* output,
                    int64_t output_row, int fill);
  // output[b][r][V] = input[r][b * V ..]: rows of whole blocks to blocks of rows, which are
  // output_block floats apart.
  void (*split_columns)(const float* input, int64_t input_row, int64_t rows, int64_t blocks,
                        float* output, int64_t output_block);
};
const ReorderKernels& reorder_kernels(Isa isa);
const ReorderKernels& reorder_kernels_portable();
const ReorderKernels& reorder_kernels_avx2();
const ReorderKernels& reorder_kernels_avx512();

}  // namespace planish::cpu
