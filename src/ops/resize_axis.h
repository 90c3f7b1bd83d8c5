// The one-dimensional side of Resize: which input elements an output element is made of, and with
// which weights, for every mode of interpolation and of coordinates.
#pragma once
#include "ops/shape_rules.h"

namespace planish::ops {

struct ResizeRule {
  enum class Mode { kNearest, kLinear, kCubic };
  enum class Transform {
    kHalfPixel, kHalfPixelSymmetric, kPytorchHalfPixel, kAlignCorners, kAsymmetric, kCropAndResize,
  };
  enum class Nearest { kPreferFloor, kPreferCeil, kFloor, kCeil };
  Mode mode = Mode::kNearest;
  Transform transform = Transform::kHalfPixel;
  Nearest nearest = Nearest::kPreferFloor;
  bool antialias = false, exclude_outside = false;
  double cubic_a = -0.75, extrapolation = 0;
};
// Reads and checks the attributes.
Result<ResizeRule> resize_rule(const ir::Attributes& attrs);

struct ResizeAxis {
  int64_t in = 1, out = 1;
  double scale = 1;
  double roi_begin = 0, roi_end = 1;

  // Nothing to do: elements map onto themselves.
  bool is_identity(const ResizeRule& rule) const;
};

// One output element: the sum of weights times input elements; `outside`: the extrapolation value.
struct ResizeTaps {
  std::vector<int64_t> indices;
  std::vector<double> weights;
  bool outside = false;
};
// Per output element. Precondition: in >= 1, scale > 0.
Result<std::vector<ResizeTaps>> resize_taps(const ResizeRule& rule, const ResizeAxis& axis);

// floor(size * scale), exact for scales that are short fractions (0.7f counts as 7/10).
Dim scaled_size(const Dim& size, double scale);
// Largest scale or size that is taken.
inline constexpr int64_t kMaxResize = int64_t(1) << 31;

// Rounds to nearest even and clamps to the range of an integer type.
void saturate_to(ir::DataType dtype, std::vector<double>& values);

}  // namespace planish::ops
