// Parts that the verifiers of problems and programs share.
#pragma once
#include <optional>
#include <vector>

#include "ir/type.h"
#include "plan/program.h"

namespace planish::plan {

inline constexpr int kMaxRank = 64;
// Bytes of one value; keeps every later sum of a few sizes inside int64.
inline constexpr int64_t kMaxValueBytes = int64_t(1) << 56;

// Known element type, valid dims, a layout of this rank, no negative dim, and a size below
// kMaxValueBytes where all dims are constant.
Status check_type(const ir::TensorType& type);
// Elements in memory for concrete dims (block padding included); nullopt for a negative dim or one
// above kMaxValueBytes.
std::optional<int64_t> checked_physical_count(ir::DataType dtype, std::span<const int64_t> dims,
                                              const ir::Layout& layout);

}  // namespace planish::plan
