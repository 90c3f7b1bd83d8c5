#include "runtime/layout_copy.h"

#include <cstring>
#include <vector>

#include "kernel/strided.h"

namespace planish::runtime {

int64_t physical_index(std::span<const int64_t> index, std::span<const int64_t> dims,
                       const ir::Layout& layout, int64_t outer_stride) {
  const int rank = int(dims.size());
  if (outer_stride && kernel::pixels_lie_apart(layout, rank)) {
    int64_t pixel = 0;
    for (int d = 0; d < rank; ++d)
      if (d != 1) pixel = pixel * dims[size_t(d)] + index[size_t(d)];
    return pixel * outer_stride + index[1];
  }
  int64_t at = 0, inner = 0, outer = 0;
  for (int i = 0; i < rank; ++i) {
    const int d = layout.perm.empty() ? i : layout.perm[size_t(i)];
    int64_t size = dims[size_t(d)], value = index[size_t(d)];
    if (d == layout.block_dim) {
      size = (size + layout.block - 1) / layout.block;
      inner = value % layout.block;
      value /= layout.block;
    }
    if (i == 0 && d == 0 && outer_stride) {
      outer = value * outer_stride;
      continue;
    }
    at = at * size + value;
  }
  if (layout.block_dim >= 0) at = at * layout.block + inner;
  return at + outer;
}

void copy_to_row_major(const std::byte* from, const ir::Layout& layout, int64_t outer_stride_bytes,
                       std::byte* to, std::span<const int64_t> dims, int64_t element_bytes) {
  int64_t count = 1;
  for (int64_t d : dims) count *= d;
  if (layout.is_row_major() && !outer_stride_bytes) {
    std::memcpy(to, from, size_t(count * element_bytes));
    return;
  }
  if (layout.is_row_major()) {
    const int64_t slice = dims[0] ? count / dims[0] * element_bytes : 0;
    for (int64_t i = 0; i < dims[0]; ++i)
      std::memcpy(to + i * slice, from + i * outer_stride_bytes, size_t(slice));
    return;
  }
  std::vector<int64_t> index(dims.size(), 0);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t at = physical_index(index, dims, layout, outer_stride_bytes / element_bytes);
    std::memcpy(to + i * element_bytes, from + at * element_bytes, size_t(element_bytes));
    for (size_t d = dims.size(); d-- > 0;) {
      if (++index[d] < dims[d]) break;
      index[d] = 0;
    }
  }
}

}  // namespace planish::runtime
