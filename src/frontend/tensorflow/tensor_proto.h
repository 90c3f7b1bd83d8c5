// TensorFlow's element types and TensorProtos as IR types and tensors.
#pragma once
#include <string>

#include "base/limits.h"
#include "frontend/tensorflow/wire.h"
#include "ir/tensor.h"

namespace planish::frontend::tensorflow {

inline constexpr int64_t kString = 7, kResource = 20, kVariant = 21, kComplex64 = 8;

// "DT_FLOAT"; "DT_77" for a number that this version does not know.
std::string type_name(int64_t dtype);
// Reference types (DT_FLOAT_REF) count as their plain ones, quantized ones as the integers that
// hold them. kUnsupported for types that are no numbers, kInvalidArgument for 0.
Result<ir::DataType> data_type(int64_t dtype);
// The number of an element type; 0 where TensorFlow has no such type.
int64_t type_number(ir::DataType dtype);

// Elements from tensor_content or from the typed field, whose last value repeats. Checked against
// the limits before anything is allocated.
Result<ir::Tensor> to_tensor(const TensorDesc& desc, const Limits& limits);
// Strings of a string tensor, in order; the last one repeats.
Result<std::vector<std::string>> to_strings(const TensorDesc& desc, const Limits& limits);
// The product of the dims; refuses unknown dims, overflow and more than the limit.
Result<int64_t> checked_count(const ShapeDesc& shape, const Limits& limits);

}  // namespace planish::frontend::tensorflow
