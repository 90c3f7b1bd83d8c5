// Direct fp32 convolution on blocked activations: any kernel, stride, padding and dilation, groups
// of whole channel blocks, and the planar (NCHW) first layer of a network.
//
// The work is register tiles (tile.h) over output pixels and output channels. Padding and strides
// never reach the tile: a thread copies the input rows of its band into a private, zero-bordered
// scratch whose columns are split by stride phase, so that neighbouring output pixels always read
// neighbouring input pixels; one copied vector feeds kernel area x V x J multiply-adds, which makes
// the copy cost 1-3 %. A 1 x 1 kernel of stride 1 reads the input in place. How a problem is cut is
// the tactic; the enumerator gives the few cuts that won somewhere.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "backend/cpu/kernels/conv_problem.h"

namespace planish {
class ThreadTeam;
}

namespace planish::cpu {

struct DirectConvTactic {
  int j_blocks = 2;  // vectors of output channels per tile, 1 to 4; decides the packed weights
  int64_t band = 0;  // output rows per task; 0: the whole map (split over output channels instead)
  int64_t chunks = 0;       // tiles of output channels per task; 0: all
  int64_t in_blocks = 0;    // input channel blocks accumulated in one go; 0: all
  bool copy_input = false;  // copy even where the input could be read in place (planes that collide
                            // in the caches)

  bool operator==(const DirectConvTactic&) const = default;
};

// Empty if supported, else the reason.
std::string_view direct_conv_refusal(const ConvProblem& problem, Isa isa);

// At most eight, the likeliest first.
std::vector<DirectConvTactic> enumerate_direct_conv_tactics(const ConvProblem& problem, Isa isa,
                                                            int threads);

// weights: [out_channels][in_channels / groups][kernel_height][kernel_width].
int64_t direct_conv_packed_floats(const ConvProblem& problem, const DirectConvTactic& tactic,
                                  Isa isa);
void pack_direct_conv_weights(const ConvProblem& problem, const DirectConvTactic& tactic, Isa isa,
                              const float* weights, float* packed);

int64_t direct_conv_workspace_bytes(const ConvProblem& problem, const DirectConvTactic& tactic,
                                    Isa isa, int threads);

void run_direct_conv(const ConvProblem& problem, const DirectConvTactic& tactic, Isa isa,
                     const ConvArgs& args, ThreadTeam& team);

}  // namespace planish::cpu
