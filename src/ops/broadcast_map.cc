#include "ops/broadcast_map.h"

#include "ir/tensor.h"

namespace planish::ops {

std::vector<int64_t> broadcast_map(std::span<const int64_t> dims, std::span<const int64_t> from) {
  size_t rank = dims.size(), skip = rank - from.size();
  std::vector<int64_t> steps(rank, 0), index(rank, 0), strides = ir::strides_of(from);
  for (size_t i = 0; i < from.size(); ++i) steps[skip + i] = from[i] == 1 ? 0 : strides[i];
  int64_t count = ir::element_count(dims), at = 0;
  std::vector<int64_t> map(static_cast<size_t>(count));
  for (int64_t& element : map) {
    element = at;
    for (size_t d = rank; d-- > 0;) {
      at += steps[d];
      if (++index[d] < dims[d]) break;
      at -= steps[d] * dims[d];
      index[d] = 0;
    }
  }
  return map;
}

}  // namespace planish::ops
