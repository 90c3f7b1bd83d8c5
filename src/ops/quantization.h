// Quantization arithmetic in reference code: how a scale's shape says which scale an element has
// (one for all, one per channel, one per block), and rounding into a narrow type.
#pragma once
#include <string_view>
#include <vector>

#include "ops/dims.h"

namespace planish::ops {

enum class Granularity { kTensor, kAxis, kBlock };

// Which scale element belongs to each element of x.
struct ScaleMap {
  Granularity granularity = Granularity::kTensor;
  int64_t outer = 1, length = 1, inner = 1;  // x as [outer, length, inner] around the axis
  int64_t block = 1, blocks = 1;             // elements of the axis per scale, scales along it

  int64_t at(int64_t i) const {
    if (granularity == Granularity::kTensor) return 0;
    const int64_t position = i / inner % length;
    if (granularity == Granularity::kAxis) return position;
    return (i / (inner * length) * blocks + position / block) * inner + i % inner;
  }
};

// Checks the shape of the scale (input `scale`) against input 0 and attributes axis and block_size,
// and that the zero point (input `scale` + 1), when present, has the scale's shape.
Status check_scale_shape(const InferContext& ctx, int scale);
// Known scales must be finite numbers; `positive` also refuses 0 and less.
Status check_scale_values(const InferContext& ctx, int scale, bool positive);
// For evaluate(), after these checks.
ScaleMap scale_map(const EvalContext& ctx, int scale);

// Writes `value` to an element of a quantized type: integers are rounded half to even and
// saturated (NaN becomes 0), 8-bit floats saturate or overflow as `saturate` says.
void store_quantized(Tensor& out, int64_t i, double value, bool saturate = true);

inline constexpr opdef::TypeSet kQuantizedTypes =
    opdef::TypeSet{DataType::kI8,  DataType::kU8,  DataType::kI16,    DataType::kU16,
                   DataType::kI2, DataType::kU2, DataType::kF4E2M1} |
    opdef::kFloat8 | opdef::kInt4;

}  // namespace planish::ops
