// Stack: a region of dense layers on few rows, each on the result of the one in front, as its kernel reads
// it (matrix products with constant weights; 1x1 convolutions of single pixels):
//
//   x1 = first(x0 W0), x2 = second(x1 W1), ..., any epilogues
//
// At few rows such a network is launches and latencies, not work. One cluster takes all rows
// through all layers: a CTA has some channels of every layer, and what it makes of them goes into the
// shared memory of all CTAs that read it, counted on a barrier there (st.async). Weights, in the order in
// which warps need them, stream through a ring from the kernel's start on, which is in front of the end of
// the step before: no layer waits for memory but by the rate of a cluster's SMs.
//
// Channels stand on the 16-wide side of mma.sync and rows on the 8-wide one, so that a row costs no more
// than it must. Where a CTA has fewer tiles of 16 channels than warps, warps share the depth of a tile.
#pragma once
#include <vector>

#include "backend/cuda/families/contraction/product.h"
#include "kernel/kernel_def.h"

namespace planish::cuda::stack {

inline constexpr int kWarps = 16;               // that multiply; one more brings weights
inline constexpr int kStageBytes = kWarps * 1024;  // of the ring: 16 channels of 32 deep for each warp
inline constexpr int64_t kMaxRows = 64;  // by the registers that sums take
inline constexpr int64_t kMaxSharedBytes = 232448;  // of one CTA on sm_90

struct Stack {
  ir::DataType type = ir::DataType::kF16;
  int input = 0;  // operand number
  int64_t rows = 0;
  std::vector<Product> layers;  // whose epilogues' results are numbered as the region's
};

// kUnimplemented: another family's problem; kUnsupported: why this one is not taken.
Result<Stack> stack_of(const kernel::Problem& problem);

struct Tactic {
  int cluster = 16;  // CTAs
};
kernel::Tactic write(const Tactic& tactic);
Tactic read(const kernel::Tactic& tactic);

// How one layer lies on a cluster. Tiles are 16 channels, blocks 32 deep.
struct LayerPlan {
  int tiles = 1, blocks = 1;
  int per_cta = 1;        // tiles of a CTA; the last ones have fewer or none
  int split = 1;          // warps that share a tile's depth
  int passes = 1;         // of kWarps / split tiles at once
  int warp_blocks = 1;    // of a warp in a pass
  int pitch = 0;          // bytes of a row of its input in shared memory
  int64_t input_at = 0;   // bytes from shared memory's start
  int64_t weights_at = 0; // bytes from the packed weights' start

  int at_once() const { return kWarps / split; }
  int readers() const { return (tiles + per_cta - 1) / per_cta; }  // CTAs that have tiles
  int64_t cta_bytes() const { return int64_t(passes) * warp_blocks * kStageBytes; }
};

struct Plan {
  int cluster = 1, stages = 2, shared_bytes = 0;
  int64_t sums_at = 0, ring_at = 0;  // bytes from shared memory's start
  int64_t sums_bytes = 0;            // of one layer's partial sums; layers take two places in turn
  int64_t packed_bytes = 0;
  std::vector<LayerPlan> layers;
};
Result<Plan> plan_of(const Stack& stack, const Tactic& tactic);
double predict_us(const Stack& stack, const Plan& plan);

// `epilogues`: printed, those of inner layers keeping their result.
std::string kernel_text(const Stack& stack, const Plan& plan, const std::vector<EpilogueText>& epilogues,
                        const std::string& entry);

}  // namespace planish::cuda::stack
