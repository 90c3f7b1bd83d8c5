// Limits that keep hostile or mistaken input from taking the machine's memory or time. A limit is
// checked before anything is allocated, and the message names the one that was hit.
#pragma once
#include <cstdint>

namespace planish {

struct Limits {
  // Elements of one tensor, whether read from a file or computed (Tile, Expand, Range...).
  int64_t max_tensor_elements = int64_t(1) << 33;
  // Iterations of one Loop node in the interpreter.
  int64_t max_loop_iterations = 1000000000;
};

inline constexpr Limits kDefaultLimits{};

}  // namespace planish
