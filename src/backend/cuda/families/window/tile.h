// Tile: the tactic of a convolution whose filters stay in shared memory, and Plan: what follows from it.
//
// A convolution of few channels read pixel by pixel and tap by tap (TMA's im2col) is bound by TMA, which
// brings a row of at most 128 bytes every few clocks: each pixel once for every tap. Here a patch of the
// input comes once, halo included, and all taps read it in place: a descriptor of a swizzled operand may
// begin at any row, since the hardware swizzles by address. Rows of an m64 block are 8 groups of 8
// pixels that follow each other; the groups' distance is free:
//
//   across > 0:   blocks of 8 x 8 pixels, `across` of them side by side; a group is a row of 8
//   across == 0:  the patch's rows one behind the other, halo columns and all, as one row of pixels;
//                 what falls on a halo is dropped. For images that 8 divides badly.
//
// The consumer groups take tiles in turn, each from patches of its own, so that one's epilogue runs
// beside another's products. Filters are loaded once per CTA, which keeps to one tile of channels.
//
// A 2x2 max pool behind it is taken in where blocks are 8 x 8 pixels, which are whole windows.
#pragma once
#include "backend/cuda/families/contraction/pooled.h"

namespace planish::cuda::window {

struct Tile {
  int groups = 3;       // consumer warpgroups
  int blocks = 1;       // m64 blocks of a group's tile
  int across = 1;       // of them side by side; 0: whole rows
  int width = 64;       // channels: wgmma N
  int row_bytes = 128;  // of a pixel in a patch: 128 or 64; deeper pixels come in several chunks
  friend bool operator==(const Tile&, const Tile&) = default;
};

kernel::Tactic write(const Tile& tile);
Tile read(const kernel::Tactic& tactic);

struct Plan {
  Tile tile;
  int chunks = 1;      // of a pixel
  int steps = 1;       // 16 deep each, of a tap
  int permuted = 8;    // channels that lie together in a thread's sums
  int64_t tile_width = 0, tile_height = 0, patch_width = 0, patch_height = 0;  // pixels
  int64_t tiles_x = 0, tiles_y = 0, tiles = 0, channel_tiles = 0;
  int64_t chunk_bytes = 0, weight_bytes = 0;  // of a patch; of one tile of channels
  int stages = 0, shared_bytes = 0;
  int producer_warps = 1, consumer_registers = 240, producer_registers = 24;

  int64_t patch_bytes() const { return chunks * chunk_bytes; }
  int64_t brought_bytes() const { return chunks * patch_width * patch_height * tile.row_bytes; }
  int sums() const { return tile.blocks * tile.width / 2; }  // of a thread
  int threads() const { return tile.groups * 128 + producer_warps * 32; }
};

// Ok, or why no tile of this family takes the problem.
Status can_take(const PooledProduct& problem);
// The plan, or why the tile cannot be.
Result<Plan> plan_of(const PooledProduct& problem, const Tile& tile);
double predict_us(const PooledProduct& problem, const Plan& plan, int sm_count);
// Tiles worth timing, best prediction first.
std::vector<Tile> candidates(const PooledProduct& problem, int sm_count);

}  // namespace planish::cuda::window
