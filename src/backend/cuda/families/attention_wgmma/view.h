// What the tensor-core attention kernels read off a problem: where queries, keys, values and a mask lie,
// and the sizes.
#pragma once
#include <cstdint>
#include <vector>

#include "base/status.h"
#include "kernel/problem.h"

namespace planish::cuda::attention {

inline constexpr int64_t kKeyTile = 128, kSlab = 64;  // keys of a tile; columns of a swizzled box

// Where queries, keys or values lie: an operand, or columns of one whose Split stands before.
struct Place {
  int operand = -1;
  int64_t first_column = 0, pitch = 0;  // elements; a pitch of 0: dense
};

struct View {
  ir::DataType type = ir::DataType::kF16;
  Place q, k, v;
  int mask = -1;
  bool flat = false;  // [batch, sequence, heads * size], else [batch, heads, sequence, size]
  int64_t batch = 1, heads = 1, kv_heads = 1, queries = 1, keys = 1, size = 64;
  double scale = 1;
  bool causal = false;
  std::vector<int64_t> mask_steps;  // elements along batch, head, query; keys are dense

  int64_t slabs() const { return size / kSlab; }
  int64_t key_tiles() const { return (keys + kKeyTile - 1) / kKeyTile; }
  int64_t query_tiles(int groups) const { return (queries + 64 * groups - 1) / (64 * groups); }
  int64_t items(int groups) const { return batch * heads * query_tiles(groups); }
};

// kUnimplemented: another family's problem; kUnsupported: attention that the kernels do not take, and why.
Result<View> view_of(const kernel::Problem& problem);

}  // namespace planish::cuda::attention
