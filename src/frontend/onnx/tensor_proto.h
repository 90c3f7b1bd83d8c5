// TensorProto and SparseTensorProto to ir::Tensor: every element type that ONNX stores and Planish
// has, raw or typed data, inside the file or outside of it. What a tensor declares is checked
// against the data it brings before anything is allocated.
#pragma once
#include "base/limits.h"
#include "base/status.h"
#include "frontend/onnx/external_data.h"
#include "frontend/onnx/wire.h"
#include "ir/tensor.h"

namespace planish::frontend::onnx {

// Non-negative dims whose product is within the limits.
Result<int64_t> checked_count(const std::vector<int64_t>& dims, const Limits& limits);

Result<ir::Tensor> to_tensor(const TensorDesc& desc, ExternalData& external, const Limits& limits);
// Dense; indices are linear [NNZ] or per axis [NNZ, rank], sorted and without repetition.
Result<ir::Tensor> to_tensor(const SparseTensorDesc& desc, ExternalData& external,
                             const Limits& limits);

}  // namespace planish::frontend::onnx
