#include "ops/spatial.h"

#include "base/text.h"

namespace planish::ops {

Spatial3 spatial3(const Window& window, std::span<const int64_t> in,
                  std::span<const int64_t> out) {
  Spatial3 s;
  size_t rank = size_t(window.rank()), first = 3 - rank;
  for (size_t i = 0; i < rank; ++i) {
    s.in[first + i] = in[i];
    s.out[first + i] = out[i];
    s.kernel[first + i] = window.kernel[i];
    s.stride[first + i] = window.strides[i];
    s.dilation[first + i] = window.dilations[i];
    s.pad[first + i] = window.pads_begin[i];
  }
  return s;
}

std::vector<opdef::AttrSpec> window_attrs() {
  using opdef::AttrKind;
  using opdef::optional_attr;
  return {
      opdef::string_attr("auto_pad", "NOTSET",
                         "NOTSET: pads; VALID: none; SAME_UPPER, SAME_LOWER: output = input / "
                         "stride, the odd element of padding behind or in front"),
      optional_attr("dilations", AttrKind::kInts, "distance of kernel elements; all 1 when absent"),
      optional_attr("kernel_shape", AttrKind::kInts, "kernel size per spatial dim"),
      optional_attr("pads", AttrKind::kInts,
                    "padding in front of every spatial dim, then behind every one; 0 when absent"),
      optional_attr("strides", AttrKind::kInts, "step per spatial dim; all 1 when absent"),
  };
}

Status add_output_dims(const Window& window, const Shape& input, Shape& shape) {
  for (int i = 0; i < window.rank(); ++i) {
    Dim out = kernel::output_size(window, i, input[size_t(i)]);
    if (!out.valid()) return invalid_argument(cat("spatial dim ", i, " leaves 64 bits"));
    bool empty_same = window.is_same() && out == Dim(0);
    if (out.is_constant() && out.value() < 1 && !empty_same) {
      Dim padded = input[size_t(i)] + window.pads_begin[size_t(i)] + window.pads_end[size_t(i)];
      return invalid_argument(cat("spatial dim ", i, ": got a kernel that spans ",
                                  window.extent(i), " elements over a padded input of ", padded.to_string(),
                                  ", expected at most that"));
    }
    shape.push_back(std::move(out));
  }
  return ok_status();
}

}  // namespace planish::ops
