// Window: how convolutions and pools slide over the spatial dims of an input: kernel, strides,
// dilations and padding, read from a node's attributes (kernel_shape, strides, dilations, pads,
// auto_pad, ceil_mode) with every value checked. One place, because the operators' shape inference,
// their reference code and every backend need the same answer.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "ir/graph.h"

namespace planish::kernel {

enum class AutoPad : uint8_t { kNotSet, kSameUpper, kSameLower, kValid };

struct Window {
  // One element per spatial dim. Pads stand for kNotSet; zero otherwise, see resolve_pads.
  std::vector<int64_t> kernel, strides, dilations, pads_begin, pads_end;
  AutoPad auto_pad = AutoPad::kNotSet;
  bool ceil_mode = false;

  int rank() const { return int(kernel.size()); }
  // Input elements from the first to the last that one window covers.
  int64_t extent(int i) const { return (kernel[size_t(i)] - 1) * dilations[size_t(i)] + 1; }
  bool is_same() const {
    return auto_pad == AutoPad::kSameUpper || auto_pad == AutoPad::kSameLower;
  }
  // Elements per window.
  int64_t volume() const;
};

// Largest kernel, stride, dilation or pad that is taken: sums and products stay in int64.
inline constexpr int64_t kMaxWindowValue = (int64_t(1) << 31) - 1;

// Reads the attributes. `weights_kernel`: spatial dims of the weights; when empty, kernel_shape is
// required. Errors name the attribute, what was got and what was expected.
Result<Window> window_of(const ir::Attributes& attrs, int spatial_rank,
                         std::span<const int64_t> weights_kernel = {});

// Windows along spatial dim i of that input size. May be less than 1 for a kernel larger than the
// padded input, which the caller refuses.
ir::Dim output_size(const Window& window, int i, const ir::Dim& input);

// Replaces SAME and VALID by the explicit pads that they mean for that input.
void resolve_pads(Window& window, std::span<const int64_t> input);

// pads_begin and pads_end in one list, as attribute 'pads' has them.
std::vector<int64_t> pads_attr(const Window& window);

}  // namespace planish::kernel
