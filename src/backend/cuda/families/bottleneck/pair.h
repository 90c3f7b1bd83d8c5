// Pair: a region of two 1x1 convolutions, the second on the result of the first, as its kernel reads
// it: where a network widens its channels and narrows them again (a residual block's last convolution
// and the next block's first), the wide tensor is written for later readers, but not read back.
//
//   mid = first(input x W1), out = second(mid x W2), any epilogues
//
// A consumer group has 64 rows. It makes the wide tensor 64 channels at a time: products, the first
// epilogue, rounded into shared memory as the left operand of what is added to the second product's
// sums. All filters stay in shared memory; where they do not fit, streaming them for every tile of rows
// cost as much as it saved (128 -> 512 -> 128 channels: 103 us, 100 in two kernels).
//
// A residual that is added to the wide tensor is read by the threads that add it, a chunk ahead, or
// (Tactic::ring) brought by TMA into a ring of chunks in shared memory. In the first form the wait for a
// chunk's biases and the fence in front of the second product wait for the next chunk's residual, too.
#pragma once
#include <optional>

#include "backend/cuda/families/contraction/product.h"
#include "kernel/kernel_def.h"

namespace planish::cuda::pair {

inline constexpr int kChunk = 64;            // channels of the wide tensor
inline constexpr int kChunkBytes = 64 * 128;  // of a group's rows

struct Pair {
  ir::DataType type = ir::DataType::kF16;
  int input = 0, first_weights = -1, second_weights = -1;  // operand numbers
  int64_t rows = 0, in_channels = 0, mid_channels = 0, out_channels = 0;
  Epilogue first, second;  // their results' numbers are the region's
  bool stores_mid = false;
};

// kUnimplemented: another family's problem; kUnsupported: why this one is not taken.
Result<Pair> pair_of(const kernel::Problem& problem);
// The same for packing, which looks at weights only.
Result<Pair> pair_of_any_size(const kernel::Problem& problem);

// The first step's input that lies like the wide tensor and is the only one beside its rows: a residual.
std::optional<size_t> residual_of(const Pair& pair);

struct Tactic {
  int groups = 2;  // consumer warpgroups
  int ring = 0;    // chunks of the residual in a group's ring; 0: threads read it
};
kernel::Tactic write(const Tactic& tactic);
Tactic read(const kernel::Tactic& tactic);

struct Plan {
  int groups = 2, ring = 0;        // of the tactic
  int first_steps = 1;             // 16 deep
  int boxes = 1;                   // of 64 input channels
  int chunks = 1;
  int input_stages = 1;
  int64_t tiles = 0;
  int producer_warps = 4, consumer_registers = 240, producer_registers = 24, shared_bytes = 0;

  int row_tile() const { return 64 * groups; }
  int input_bytes() const { return boxes * 64 * 128; }  // of a group
  int threads() const { return groups * 128 + producer_warps * 32; }
};
int64_t first_weight_bytes(const Pair& pair);   // of a chunk
int64_t second_weight_bytes(const Pair& pair);

Result<Plan> plan_of(const Pair& pair, const Tactic& tactic);
double predict_us(const Pair& pair, const Plan& plan, int sm_count);

// `first`, `second`: printed epilogues.
std::string kernel_text(const Pair& pair, const Plan& plan, const EpilogueText& first, const EpilogueText& second,
                        const std::string& entry);

}  // namespace planish::cuda::pair
