#include "opdef/onnx_types.h"

#include "base/text.h"

namespace planish::opdef {

namespace {

using ir::DataType;

struct Row {
  int64_t code;
  std::string_view name;
  std::optional<DataType> type;
};

constexpr Row kRows[] = {
    {1, "float", DataType::kF32},
    {2, "uint8", DataType::kU8},
    {3, "int8", DataType::kI8},
    {4, "uint16", DataType::kU16},
    {5, "int16", DataType::kI16},
    {6, "int32", DataType::kI32},
    {7, "int64", DataType::kI64},
    {8, "string", std::nullopt},
    {9, "bool", DataType::kBool},
    {10, "float16", DataType::kF16},
    {11, "double", DataType::kF64},
    {12, "uint32", DataType::kU32},
    {13, "uint64", DataType::kU64},
    {14, "complex64", std::nullopt},
    {15, "complex128", std::nullopt},
    {16, "bfloat16", DataType::kBF16},
    {17, "float8e4m3fn", DataType::kF8E4M3Fn},
    {18, "float8e4m3fnuz", DataType::kF8E4M3Fnuz},
    {19, "float8e5m2", DataType::kF8E5M2},
    {20, "float8e5m2fnuz", DataType::kF8E5M2Fnuz},
    {21, "uint4", DataType::kU4},
    {22, "int4", DataType::kI4},
    {23, "float4e2m1", DataType::kF4E2M1},
    {24, "float8e8m0", DataType::kF8E8M0},
    {25, "uint2", DataType::kU2},
    {26, "int2", DataType::kI2},
    {27, "float6e2m3", std::nullopt},
    {28, "float6e3m2", std::nullopt},
};

const Row* find(int64_t code) {
  for (const Row& row : kRows) {
    if (row.code == code) return &row;
  }
  return nullptr;
}

}  // namespace

std::string_view onnx_type_name(int64_t code) {
  const Row* row = find(code);
  return row ? row->name : std::string_view();
}

Result<DataType> data_type_from_onnx(int64_t code) {
  const Row* row = find(code);
  if (!row) return invalid_argument(cat("element type ", code, " is not one that ONNX defines"));
  if (!row->type) return unsupported(cat("tensors of type ", row->name, " are not supported"));
  return *row->type;
}

int64_t onnx_type_code(DataType type) {
  for (const Row& row : kRows) {
    if (row.type == type) return row.code;
  }
  PLANISH_CHECK(false, cat("type ", name_of(type), " has no ONNX number"));
}

}  // namespace planish::opdef
