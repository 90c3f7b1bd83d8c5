// ONNX's numbering of element types (TensorProto.DataType), which appears in attributes such as
// Cast's `to` and in the wire format. One table for the importers and for the file reader.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/status.h"
#include "ir/data_type.h"

namespace planish::opdef {

// "float16" for 10, "string" for 8; empty for a number that ONNX does not define.
std::string_view onnx_type_name(int64_t code);
// Our type for ONNX's number: kUnsupported names a type that Planish has not (string, complex64,
// float6...), kInvalidArgument a number that ONNX does not define.
Result<ir::DataType> data_type_from_onnx(int64_t code);
// ONNX's number for our type.
int64_t onnx_type_code(ir::DataType type);

}  // namespace planish::opdef
