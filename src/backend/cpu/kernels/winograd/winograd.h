// fp32 3 x 3 stride-1 convolution by Winograd F(4,3) or F(6,3) on blocked activations.
//
// Filters stay in their 3 x 3 form in memory and are transformed on the fly, block by block, into a
// core-private buffer: the transformed filters are 4 (F4) or 7 (F6) times larger, and at batch 1
// reading those from memory costs more than the arithmetic saves. Work is split over output
// channels (the transformed input is shared by the team) for small maps, over blocks of tiles for
// large maps. The epilogue runs in the output transform. Rounds differently from a direct sum:
// errors are 4 (F4) to 16 (F6) times larger, so the caller tags it as a fast-fp32 tactic.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "backend/cpu/kernels/conv_problem.h"

namespace planish {
class ThreadTeam;
}

namespace planish::cpu {

struct WinogradTactic {
  int tile = 4;                // output tile: 4 for F(4,3), 6 for F(6,3)
  int j_blocks = 2;            // vectors of output channels per block; decides the packed weights
  bool split_channels = true;  // tasks are (output block, tile block); else tile blocks
  int64_t tiles = 16;          // tiles per block
  int64_t in_blocks =
      0;  // input channel blocks per accumulation step (split_channels only); 0: all

  bool operator==(const WinogradTactic&) const = default;
};

std::string_view winograd_refusal(const ConvProblem& problem, Isa isa);
std::vector<WinogradTactic> enumerate_winograd_tactics(const ConvProblem& problem, Isa isa,
                                                       int threads);
int64_t winograd_packed_floats(const ConvProblem& problem, const WinogradTactic& tactic, Isa isa);
void pack_winograd_weights(const ConvProblem& problem, const WinogradTactic& tactic, Isa isa,
                           const float* weights, float* packed);
int64_t winograd_workspace_bytes(const ConvProblem& problem, const WinogradTactic& tactic, Isa isa,
                                 int threads);
void run_winograd(const ConvProblem& problem, const WinogradTactic& tactic, Isa isa,
                  const ConvArgs& args, ThreadTeam& team);

// The transforms. Index 0: F(4,3), 1: F(6,3). P = (tile + 2)^2 points, stride floats apart.
struct WinogradOutputArgs {
  const float* points;
  int64_t points_stride;
  const float* bias;      // V floats or null
  const float* residual;  // like output, or null
  float* output;
  int64_t row;        // floats per output row
  int rows, columns;  // how much of the tile exists
  float lo, hi;
};
struct WinogradKernels {
  // One tile of V channels whose first pixel is (y, x), possibly outside the height x width plane.
  void (*input[2])(const float* plane, int64_t height, int64_t width, int64_t y, int64_t x,
                   float* out, int64_t stride);
  // count channels of j vectors, packed as [count][9][j][V], to out[point * stride + channel * j *
  // V].
  void (*filter[2])(const float* filters, int64_t count, int j, float* out, int64_t stride);
  void (*output[2])(const WinogradOutputArgs& args);
};
const WinogradKernels& winograd_kernels(Isa isa);
const WinogradKernels& winograd_kernels_portable();
const WinogradKernels& winograd_kernels_avx2();
const WinogradKernels& winograd_kernels_avx512();

}  // namespace planish::cpu
