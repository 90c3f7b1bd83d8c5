// Sizes and ranges of resized axes; which elements they are made of says kernel/resize.h.
#pragma once
#include "ops/shape_rules.h"

namespace planish::ops {

// floor(size * scale), exact for scales that are short fractions (0.7f counts as 7/10).
Dim scaled_size(const Dim& size, double scale);
// Largest scale or size that is taken.
inline constexpr int64_t kMaxResize = int64_t(1) << 31;

// Rounds to nearest even and clamps to the range of an integer type.
void saturate_to(ir::DataType dtype, std::vector<double>& values);

}  // namespace planish::ops
