// Tile: the tactic of a tensor-core contraction on sm_90a, and Plan: what follows from it.
//
// A CTA has 1 to 3 consumer warpgroups and a producer. The producer brings steps of depth (128 or 64
// bytes of it) of both operands into a ring of stages in shared memory by TMA; the consumers run
// wgmma from there and finish their sums in registers. One side of the wgmma is `groups * blocks` m64
// blocks high, the other `width` wide; rows (pixels, tokens) are on the high side, or with `swap` on
// the wide one.
//
// Schedules: cooperative (all groups share a tile), ping-pong (two groups on alternate tiles, one's
// epilogue beside the other's products). Clusters share loads by multicast, or split the depth and
// join their sums through distributed shared memory.
//
// Convolutions without strides may have rows in blocks of 8 x 8 pixels (`boxes`): a tiled load brings one for
// a tap, and a 2x2 max pool behind has its windows in one warp (contraction/pooled.h).
#pragma once
#include "backend/cuda/families/contraction/pooled.h"

namespace planish::cuda::wgmma {

struct Tile {
  int groups = 2;          // consumer warpgroups
  int blocks = 1;          // m64 blocks of each
  int width = 128;         // wgmma N
  bool swap = false;       // channels on the high side
  bool ping_pong = false;
  int residents = 1;       // CTAs per SM that the ring and the registers leave room for
  int share_weights = 1;   // CTAs of a cluster along the rows, which multicast the right operand
  int share_rows = 1;      // CTAs of a cluster along the channels, which multicast the left operand
  int split = 1;           // CTAs of a cluster along the depth
  int stages = 0;          // 0: as many as fit
  bool boxes = false;      // rows are blocks of 8 x 8 pixels, which tiled loads bring in place of im2col

  int high() const { return 64 * blocks * (ping_pong ? 1 : groups); }
  int row_tile() const { return swap ? width : high(); }
  int channel_tile() const { return swap ? high() : width; }
  int cluster() const { return share_weights * share_rows * split; }
  friend bool operator==(const Tile&, const Tile&) = default;
};

kernel::Tactic write(const Tile& tile);
Tile read(const kernel::Tactic& tactic);

// How an operand comes: packed weights, or straight from the tensor.
enum class Source { kPacked, kDepthInner, kDepthOuter, kIm2col, kBoxes };

inline constexpr int kMaxSharedBytes = 232448;  // of one CTA on sm_90

struct Plan {
  Tile tile;
  Source left = Source::kDepthInner, right = Source::kPacked;
  int element_bytes = 2;
  int step_bytes = 128, step_depth = 64;  // of one ring stage's rows
  int chunks = 1, steps = 1;              // steps per tap, steps in all
  int64_t boxes_x = 0, boxes_y = 0;       // of an image
  int64_t row_tiles = 1, channel_tiles = 1, cluster_tiles = 1;  // cluster_tiles: all batches
  int lanes = 8;                          // channels that one epilogue call finishes
  int permuted = 8;                       // channels that lie together in a thread's sums
  int64_t packed_channels = 0;            // of one batch, padding included
  int stages = 4, stage_bytes = 0, reduce_bytes = 0, shared_bytes = 0;
  int rows_bytes = 0;                     // of mean and scale of the rows, where they lie on the wide side
  int producer_warps = 1, consumer_registers = 240, producer_registers = 24;

  int left_bytes() const { return tile.row_tile() * step_bytes; }
  int right_bytes() const { return tile.channel_tile() * step_bytes; }
  int sums() const { return tile.blocks * tile.width / 2; }  // of a thread
  int threads() const { return tile.groups * 128 + producer_warps * 32; }
  int calls() const { return sums() / lanes / tile.split; }  // of the epilogue, per thread
  int64_t packed_depth() const { return int64_t(steps) * step_depth; }
  int64_t packed_bytes(int64_t batches) const {
    return right == Source::kPacked ? batches * packed_channels * packed_depth() * element_bytes : 0;
  }
};

// Ok, or why no tile of this family takes the product.
Status can_take(const Product& product);
// The plan, or why the tile cannot be.
Result<Plan> plan_of(const PooledProduct& problem, const Tile& tile);

// Epilogue calls of a thread whose neighbours are loaded together, and whether the next gang's loads
// run beside: as the registers allow.
struct Gangs {
  int size = 1, buffers = 1;
};
Gangs gangs_of(const Plan& plan, int near_registers);
// Registers that a consumer thread may have.
int register_cap(const Plan& plan);

// Channel of the right operand that row `packed_row` of the packed weights holds: rows are permuted
// so that the sums of one thread are neighbouring channels.
int64_t channel_of_packed_row(const Plan& plan, int64_t packed_row);

// Tiles worth timing, best prediction first, at most `limit`.
std::vector<Tile> candidates(const PooledProduct& problem, int sm_count, size_t limit = 12);
double predict_us(const PooledProduct& problem, const Plan& plan, int sm_count);

}  // namespace planish::cuda::wgmma
