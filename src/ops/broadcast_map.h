// Which element of a smaller operand belongs to each element of a larger one under broadcasting.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace planish::ops {

// Per element of `dims`, in row-major order: flat index into `from`, which broadcasts to `dims`.
std::vector<int64_t> broadcast_map(std::span<const int64_t> dims, std::span<const int64_t> from);

}  // namespace planish::ops
