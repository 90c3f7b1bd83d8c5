// Row-major elements to any layout and back, on the host, plainly.
#pragma once
#include <vector>

#include "ir/tensor.h"

namespace planish::gpu_tests {

std::vector<std::byte> to_layout(const ir::Tensor& tensor, const ir::Layout& layout);
ir::Tensor from_layout(const std::byte* data, const ir::TensorType& concrete);

}  // namespace planish::gpu_tests
