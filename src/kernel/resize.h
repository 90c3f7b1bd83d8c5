// The one-dimensional side of Resize: which input elements an output element is made of, and with
// which weights, for every mode of interpolation and of coordinates. The operator's reference code
// walks these taps, and so do kernels that print them as tables.
#pragma once
#include <cstdint>
#include <vector>

#include "base/status.h"
#include "ir/graph.h"

namespace planish::kernel {

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

}  // namespace planish::kernel
