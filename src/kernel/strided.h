// What lies apart in a strided buffer (BufferRef::outer_stride_bytes, plan::ProgramValue::strided).
#pragma once
#include <cstdint>
#include <span>

#include "ir/type.h"

namespace planish::kernel {

// True: pixels, since channels are innermost; false: slices of the outermost dim.
inline bool pixels_lie_apart(const ir::Layout& layout, int rank) {
  return rank >= 3 && layout == ir::Layout::channels_last(rank);
}
inline bool pixels_lie_apart(const ir::TensorType& type) {
  return pixels_lie_apart(type.layout, type.rank());
}

// The slices that lie apart, of a tensor of these dims.
inline int64_t slice_count(const ir::TensorType& type, std::span<const int64_t> dims) {
  if (!pixels_lie_apart(type)) return dims.empty() ? 1 : dims[0];
  int64_t pixels = 1;
  for (size_t d = 0; d < dims.size(); ++d)
    if (d != 1) pixels *= dims[d];
  return pixels;
}

}  // namespace planish::kernel
