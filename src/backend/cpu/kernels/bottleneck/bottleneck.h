// Fused inverted bottleneck of the MobileNet family: 1 x 1 expand, depthwise filter, 1 x 1 project,
// residual; without the expand also the depthwise-pointwise pair of MobileNet V1. The wide tensor
// in the middle never leaves a core's caches.
//
// Two forms. Rows: a task is a band of output rows; expanded rows live in a ring of kernel_height
// rows; the halo rows of a band are computed twice. Channels: a task expands a few channel blocks
// of the whole map and filters them; after a barrier the tasks are pieces of the projection;
// nothing is computed twice, right for small maps with many channels. Measured against three
// separate oneDNN layers: 1.2 (7 x 7) to 2.1 (112 x 112) times.
#pragma once

#include <cstdint>
#include <limits>
#include <string_view>
#include <vector>

#include "backend/cpu/kernels/conv_problem.h"

namespace planish {
class ThreadTeam;
}

namespace planish::cpu {

struct BottleneckProblem {
  // The depthwise step: channels in the middle, input map, kernel, stride, padding. Its dilation
  // must be 1.
  ConvProblem depthwise;
  int64_t in_channels = 0;   // of the expand step; ignored without it
  int64_t out_channels = 0;  // of the project step
  bool has_expand = true;
  float expand_lo = 0, expand_hi = std::numeric_limits<float>::infinity();
  float depthwise_lo = 0, depthwise_hi = std::numeric_limits<float>::infinity();
};

struct BottleneckTactic {
  bool by_channels = false;
  int64_t pieces = 8;      // rows: bands per image; channels: pixel pieces of the projection
  int64_t mid_blocks = 3;  // channels: channel blocks per task

  bool operator==(const BottleneckTactic&) const = default;
};

// Row-major weights as in the model: expand [mid][in], depthwise [mid][kh][kw], project [out][mid];
// biases may be null. The projection's bias, the residual and the last clamp are the call's
// Epilogue.
struct BottleneckWeights {
  const float* expand = nullptr;
  const float* expand_bias = nullptr;
  const float* depthwise = nullptr;
  const float* depthwise_bias = nullptr;
  const float* project = nullptr;
};

std::string_view bottleneck_refusal(const BottleneckProblem& problem, Isa isa);
std::vector<BottleneckTactic> enumerate_bottleneck_tactics(const BottleneckProblem& problem,
                                                           Isa isa, int threads);
int64_t bottleneck_packed_floats(const BottleneckProblem& problem, Isa isa);
void pack_bottleneck_weights(const BottleneckProblem& problem, Isa isa,
                             const BottleneckWeights& weights, float* packed);
int64_t bottleneck_workspace_bytes(const BottleneckProblem& problem, const BottleneckTactic& tactic,
                                   Isa isa, int threads);
void run_bottleneck(const BottleneckProblem& problem, const BottleneckTactic& tactic, Isa isa,
                    const ConvArgs& args, ThreadTeam& team);

}  // namespace planish::cpu
