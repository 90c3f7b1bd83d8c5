// The convolution that all convolution families of this folder are asked about, and the operands of
// one call.
//
// Activations are blocked, [n][c / V][h][w][V] with V = vector_width(isa), channels padded with
// zeros to a multiple of V: kernels may read the padding and always write zeros there.
#pragma once

#include <cstdint>

#include "backend/cpu/kernels/epilogue.h"
#include "backend/cpu/kernels/isa.h"

namespace planish::cpu {

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
constexpr int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

struct ConvProblem {
  int64_t batch = 1;
  int64_t in_channels = 0, out_channels = 0, groups = 1;
  int64_t in_height = 0, in_width = 0;
  int64_t kernel_height = 1, kernel_width = 1;
  int64_t stride_height = 1, stride_width = 1;
  int64_t pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  int64_t dilation_height = 1, dilation_width = 1;
  bool planar_input = false;  // input is NCHW: the first layer of a network

  int64_t out_height() const {
    return (in_height + pad_top + pad_bottom - (kernel_height - 1) * dilation_height - 1) /
               stride_height +
           1;
  }
  int64_t out_width() const {
    return (in_width + pad_left + pad_right - (kernel_width - 1) * dilation_width - 1) /
               stride_width +
           1;
  }
  bool is_pointwise() const { return kernel_height == 1 && kernel_width == 1; }
  bool has_padding() const { return (pad_top | pad_left | pad_bottom | pad_right) != 0; }
};

struct ConvArgs {
  const float* input = nullptr;
  const float* weights =
      nullptr;  // packed by the family's pack_weights for the same tactic and set
  // The first channel block of the destination. Into a larger blocked tensor (an elided concat):
  // point at the slice's first block and give the larger tensor's batch stride; blocks are
  // neighbours in both.
  float* output = nullptr;
  int64_t input_batch_stride = 0;   // floats; 0: dense
  int64_t output_batch_stride = 0;  // floats; 0: dense
  Epilogue epilogue;
  void* workspace =
      nullptr;  // workspace_bytes(), aligned to 64; contents need not survive between calls
};

}  // namespace planish::cpu
