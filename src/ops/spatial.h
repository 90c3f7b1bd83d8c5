// Sliding windows in reference code: one to three spatial dims written as exactly three, so that
// every loop nest is the same.
#pragma once
#include <algorithm>
#include <array>

#include "kernel/window.h"
#include "ops/shape_rules.h"

namespace planish::ops {

using kernel::Window;

inline constexpr int kMaxSpatialRank = 3;

struct Spatial3 {
  std::array<int64_t, 3> in{1, 1, 1}, out{1, 1, 1}, kernel{1, 1, 1}, stride{1, 1, 1},
      dilation{1, 1, 1}, pad{0, 0, 0};

  int64_t in_count() const { return in[0] * in[1] * in[2]; }
  int64_t out_count() const { return out[0] * out[1] * out[2]; }
  int64_t kernel_count() const { return kernel[0] * kernel[1] * kernel[2]; }
  // Kernel positions of dim d whose input lies inside, for the window at output position o.
  struct Range {
    int64_t first, last;  // last is exclusive
    int64_t count() const { return last - first; }
  };
  Range inside(int d, int64_t o) const {
    size_t i = size_t(d);
    int64_t start = o * stride[i] - pad[i];
    int64_t first = start >= 0 ? 0 : (-start + dilation[i] - 1) / dilation[i];
    int64_t room = in[i] - start;
    int64_t last = room <= 0 ? 0 : std::min(kernel[i], (room + dilation[i] - 1) / dilation[i]);
    return {std::min(first, last), last};
  }
  int64_t input_at(int d, int64_t o, int64_t k) const {
    size_t i = size_t(d);
    return o * stride[i] - pad[i] + k * dilation[i];
  }
};

// `window` has its pads resolved; in and out are the spatial dims.
Spatial3 spatial3(const Window& window, std::span<const int64_t> in, std::span<const int64_t> out);

// Window attributes for schemas: kernel_shape, strides, dilations, pads, auto_pad.
std::vector<opdef::AttrSpec> window_attrs();

// Appends the window's output dims to `shape`; refuses a kernel larger than the padded input.
Status add_output_dims(const Window& window, const Shape& input, Shape& shape);

}  // namespace planish::ops
