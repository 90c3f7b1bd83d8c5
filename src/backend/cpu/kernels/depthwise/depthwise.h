// Depthwise fp32 convolution (one filter per channel) on blocked activations: any kernel, stride,
// padding, dilation.
//
// V channels are one vector, so a row of outputs is a handful of multiply-adds on neighbouring
// vectors: the work is bound by loads and by memory, not by arithmetic. The row kernel, which keeps
// seven outputs in registers for 3- and 5-wide filters of stride 1 and 2, is also what the fused
// bottleneck (bottleneck.h) runs on its ring of rows.
#pragma once

#include <cstdint>
#include <string_view>

#include "backend/cpu/kernels/conv_problem.h"

namespace planish {
class ThreadTeam;
}

namespace planish::cpu {

// Supported: groups == in_channels == out_channels. No tactics, no workspace.
std::string_view depthwise_refusal(const ConvProblem& problem, Isa isa);
int64_t depthwise_packed_floats(const ConvProblem& problem, Isa isa);
// weights: [channels][kernel_height][kernel_width], to [c / V][kernel_height][kernel_width][V].
void pack_depthwise_weights(const ConvProblem& problem, Isa isa, const float* weights,
                            float* packed);
void run_depthwise(const ConvProblem& problem, Isa isa, const ConvArgs& args, ThreadTeam& team);

// One output row of V channels.
struct DepthwiseRowArgs {
  const float* const* rows;  // kernel_height input rows, each from column 0; null: a row of padding
  int kernel_height, kernel_width;
  int64_t stride, dilation, pad_left, in_width, out_width;  // along the row
  const float* weights;                                     // [kernel_height][kernel_width][V]
  const float* bias;                                        // V floats or null
  const float* residual;                                    // like output, or null
  float* output;
  float lo, hi;
};
struct DepthwiseKernels {
  void (*row)(const DepthwiseRowArgs& args);
};
const DepthwiseKernels& depthwise_kernels(Isa isa);
const DepthwiseKernels& depthwise_kernels_portable();
const DepthwiseKernels& depthwise_kernels_avx2();
const DepthwiseKernels& depthwise_kernels_avx512();

}  // namespace planish::cpu
