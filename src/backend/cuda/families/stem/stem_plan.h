// StemPlan: what follows from the first convolution of an image network, and from its tactic.
//
// With a max pool behind it (contraction/pooled.h) a CTA walks down a strip of 16 columns: the rows of the
// convolution go, rounded, into a ring of 16 rows in shared memory, 8 at a time, and every pooled row is
// made when its last row is there. Nothing is computed twice but the columns that two strips share, and the
// rows that two segments of a strip share (`rows` pooled rows make a segment).
#pragma once
#include "backend/cuda/families/contraction/pooled.h"
#include "kernel/kernel_def.h"

namespace planish::cuda::stem {

inline constexpr int kTileHeight = 8, kTileWidth = 16, kStages = 4;

struct Tactic {
  int residents = 2;  // CTAs per SM that registers are left for
  int rows = 0;       // pooled rows of a segment; 0: all, or no pool
  // Fewer instructions: descriptors follow from one, and a window's elements beyond the image are others
  // of it, so that nothing branches.
  bool lean = false;
};
kernel::Tactic write(const Tactic& tactic);
Tactic read(const kernel::Tactic& tactic);

struct StemPlan {
  int pixel = 4;           // channels of a pixel in the patch
  int row_steps = 1;       // 16-deep steps of a filter row
  int width = 64;          // channels, padded
  int permuted = 8;        // channels that lie together in a thread's sums
  int patch_height = 0, patch_width = 0;  // pixels
  int64_t tiles = 0, tiles_x = 0, tiles_y = 0;
  int residents = 2;
  bool lean = false;
  // With a pool: strips instead of tiles_x, segments instead of tiles_y; `tiles` counts segments.
  int64_t pooled_width = 0, pooled_rows = 0;  // of a strip; of a segment
  int64_t segment_tiles = 0;                  // the most that one has
  int ring_bytes = 0;

  int patch_bytes() const { return (patch_height * patch_width * pixel * 2 + 127) / 128 * 128; }
  int weight_bytes(const Product& p) const { return int(p.conv.taps_y) * row_steps * width * 32; }
  int shared_bytes(const Product& p) const { return weight_bytes(p) + kStages * patch_bytes() + 128 + ring_bytes; }
};

// kUnimplemented: another family's problem; kUnsupported: why this one is not taken.
Result<StemPlan> plan_of(const PooledProduct& problem, const Tactic& tactic);
// Best prediction first.
std::vector<Tactic> candidates(const PooledProduct& problem, int sm_count);
double predict_us(const PooledProduct& problem, const StemPlan& plan, int sm_count);

// `epilogue`: printed, kept where there is a pool; `pooled`: what stands behind that.
std::string kernel_text(const PooledProduct& problem, const StemPlan& plan, const EpilogueText& epilogue,
                        const EpilogueText& pooled, bool channels_last, const std::string& entry);

}  // namespace planish::cuda::stem
