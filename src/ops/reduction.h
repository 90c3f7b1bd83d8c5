// What reductions share: the shape without the reduced axes, and which output slot an element of
// the input belongs to.
#pragma once
#include "ops/shape_rules.h"

namespace planish::ops {

Shape reduced_shape(const Shape& shape, std::span<const int> axes, bool keepdims);

struct ReductionMap {
  std::vector<int64_t> slot;  // per input element: flat index of its output
  int64_t output_count = 0;
  int64_t reduced_count = 0;  // input elements per output
};
ReductionMap reduction_map(std::span<const int64_t> dims, std::span<const int> axes);

}  // namespace planish::ops
