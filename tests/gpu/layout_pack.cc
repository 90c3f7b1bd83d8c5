#include "layout_pack.h"

#include <cstring>

#include "runtime/layout_copy.h"

namespace planish::gpu_tests {
namespace {

// Calls f(row-major element, physical element) for every element.
template <class F>
void for_each(const std::vector<int64_t>& dims, const ir::Layout& layout, F f) {
  const int64_t count = ir::element_count(dims);
  std::vector<int64_t> index(dims.size(), 0);
  for (int64_t i = 0; i < count; ++i) {
    f(i, runtime::physical_index(index, dims, layout));
    for (size_t d = dims.size(); d-- > 0;) {
      if (++index[d] < dims[d]) break;
      index[d] = 0;
    }
  }
}

}  // namespace

std::vector<std::byte> to_layout(const ir::Tensor& tensor, const ir::Layout& layout) {
  const auto* from = static_cast<const std::byte*>(tensor.data());
  if (layout.is_row_major()) return {from, from + tensor.bytes()};
  const size_t size = size_t(ir::bits_of(tensor.dtype()) / 8);
  std::vector<std::byte> out(size_t(ir::physical_element_count(tensor.dims(), layout)) * size);
  for_each(tensor.dims(), layout, [&](int64_t plain, int64_t physical) {
    std::memcpy(out.data() + size_t(physical) * size, from + size_t(plain) * size, size);
  });
  return out;
}

ir::Tensor from_layout(const std::byte* data, const ir::TensorType& concrete) {
  ir::Tensor out(concrete.dtype, ir::to_dims(concrete.shape));
  auto* to = static_cast<std::byte*>(out.mutable_data());
  if (concrete.layout.is_row_major()) {
    std::memcpy(to, data, size_t(out.bytes()));
    return out;
  }
  const size_t size = size_t(ir::bits_of(concrete.dtype) / 8);
  for_each(out.dims(), concrete.layout, [&](int64_t plain, int64_t physical) {
    std::memcpy(to + size_t(plain) * size, data + size_t(physical) * size, size);
  });
  return out;
}

}  // namespace planish::gpu_tests
