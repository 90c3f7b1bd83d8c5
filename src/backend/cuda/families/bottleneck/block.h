// Block: the tactic of the fused inverted bottleneck, and BlockPlan: what follows from it.
//
// A CTA makes a tile of output pixels of one image. The input pixels under it lie in shared memory; the
// middle channels are walked in chunks. For each chunk the expansion (mma.sync) writes its rounded
// result into shared memory, then every warp runs depthwise and projection on its own outputs: `rows`
// output rows of `columns` (at most 16) pixels, whose projected sums stay in registers to the end.
//
// The depthwise step is a product, too: its depth is taps x 8 channels, its right operand a stack of
// diagonals, its left one ldmatrix of the expanded pixels at shifted places. Its accumulators, rounded,
// are the left fragments of the projection.
#pragma once
#include "backend/cuda/families/bottleneck/chain.h"
#include "kernel/kernel_def.h"

namespace planish::cuda::bottleneck {

struct Block {
  int rows = 2;       // output rows of a warp
  int columns = 14;   // output columns of a warp, of 16 that a product makes
  int down = 1;       // warps above each other
  int across = 1;     // warps beside each other
  int loaders = 0;    // more warps that only load and expand
  int chunk = 48;     // middle channels at a time
  int residents = 1;  // CTAs per SM that registers are left for
  bool unrolled = false;  // a chunk's depthwise steps in one piece, which hides loads and takes registers

  int tile_height() const { return rows * down; }
  int tile_width() const { return columns * across; }
  int threads() const { return 32 * (down * across + loaders); }
  friend bool operator==(const Block&, const Block&) = default;
};

kernel::Tactic write(const Block& block);
Block read(const kernel::Tactic& tactic);

struct BlockPlan {
  Block block;
  int patch_height = 0, patch_width = 0;   // input pixels under a tile
  int patch_blocks = 0;                    // of 16 pixels
  int even = 0;                            // stride 2: columns that lie in front, the even ones
  int input_pitch = 0, middle_pitch = 0;   // bytes of a pixel in shared memory
  int chunks = 1, middle = 0;              // middle channels, padded to whole chunks
  int depth_steps = 1;                     // of 16 input channels
  int out_blocks = 1;                      // of 8 output channels
  int64_t tiles_x = 1, tiles_y = 1;
  int shared_bytes = 0;

  int input_bytes() const { return patch_blocks * 16 * input_pitch; }
  // Offsets of the packed weights: expansion, its bias, depthwise, its bias, projection.
  int64_t expand_bias() const { return int64_t(chunks) * depth_steps * (block.chunk / 8) * 256; }
  int64_t depthwise() const { return expand_bias() + int64_t(middle) * 4; }
  int64_t depthwise_bias() const { return depthwise() + int64_t(middle) * 32; }
  int64_t project() const { return depthwise_bias() + int64_t(middle) * 4; }
  int64_t packed_bytes() const { return project() + int64_t(middle / 16) * out_blocks * 256; }
};

// The plan, or why the block cannot be.
Result<BlockPlan> plan_of(const Chain& chain, const Block& block);

// Shared memory of a block on the GPUs that these tiles are for.
inline constexpr int kSharedOfBlock = 232448;

// Blocks worth timing, best prediction first, at most `limit`.
std::vector<Block> candidates(const Chain& chain, int sm_count, size_t limit = 12);
double predict_us(const Chain& chain, const BlockPlan& plan, int sm_count);

// Channel of the result that column `column` of the projection's product holds: a thread's two sums of
// one block lie beside its two of the next.
int channel_of_column(const BlockPlan& plan, int column);

}  // namespace planish::cuda::bottleneck
