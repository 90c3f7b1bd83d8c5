// Maximum, average and global average pooling on blocked activations.
//
// A vector holds V channels of one pixel, so a window is a short chain of vector operations; bound
// by memory. The divisor of an average is the whole window, or with exclude_padding the pixels of
// the window that exist.
#pragma once

#include <cstdint>
#include <string_view>

#include "backend/cpu/kernels/conv_problem.h"

namespace planish {
class ThreadTeam;
}

namespace planish::cpu {

enum class PoolKind { kMax, kAverage, kAverageExcludePadding };

// Geometry in the fields of a convolution: in_channels == out_channels, kernel, stride, padding,
// dilation. out_height and out_width may be given where the model rounds up (ceil mode); 0: as a
// convolution.
struct PoolProblem {
  ConvProblem window;
  PoolKind kind = PoolKind::kMax;
  int64_t out_height = 0, out_width = 0;
};

std::string_view pool_refusal(const PoolProblem& problem, Isa isa);
// Of args only input, output and the batch strides are used. A window outside the image gives
// -infinity or 0. A NaN in a window gives NaN.
void run_pool(const PoolProblem& problem, Isa isa, const ConvArgs& args, ThreadTeam& team);

// Mean over all pixels, to [n][c / V][1][1][V].
void run_global_average(int64_t batch, int64_t channels, int64_t pixels, const float* input,
                        float* output, Isa isa, ThreadTeam& team);

struct PoolRowArgs {
  const float* const* rows;  // the existing rows of the window, each from column 0
  int row_count, kernel_width;
  int64_t stride, dilation, pad_left, in_width, out_width;
  float* output;
  // Average: 1 / divisor of a whole window; 0: count the existing pixels.
  float scale;
};
struct PoolKernels {
  void (*maximum)(const PoolRowArgs& args);
  void (*average)(const PoolRowArgs& args);
  // Mean of pixels vectors.
  void (*mean)(const float* input, int64_t pixels, float* output);
};
const PoolKernels& pool_kernels(Isa isa);
const PoolKernels& pool_kernels_portable();
const PoolKernels& pool_kernels_avx2();
const PoolKernels& pool_kernels_avx512();

}  // namespace planish::cpu
