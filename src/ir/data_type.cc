#include "ir/data_type.h"

namespace planish::ir {
namespace {

using enum DataType;
constexpr TypeKind kFloat = TypeKind::kFloat;
constexpr TypeKind kSigned = TypeKind::kSigned;
constexpr TypeKind kUnsigned = TypeKind::kUnsigned;
constexpr DataTypeInfo kTypes[kDataTypeCount] = {
    {kF32, "f32", 32, kFloat},           {kF16, "f16", 16, kFloat},
    {kBF16, "bf16", 16, kFloat},         {kF64, "f64", 64, kFloat},
    {kI8, "i8", 8, kSigned},             {kU8, "u8", 8, kUnsigned},
    {kI16, "i16", 16, kSigned},          {kU16, "u16", 16, kUnsigned},
    {kI32, "i32", 32, kSigned},          {kI64, "i64", 64, kSigned},
    {kU32, "u32", 32, kUnsigned},        {kU64, "u64", 64, kUnsigned},
    {DataType::kBool, "bool", 8, TypeKind::kBool},
    {kF8E4M3Fn, "f8e4m3fn", 8, kFloat},  {kF8E5M2, "f8e5m2", 8, kFloat},
    {kI4, "i4", 4, kSigned},             {kU4, "u4", 4, kUnsigned},
    {kF8E4M3Fnuz, "f8e4m3fnuz", 8, kFloat}, {kF8E5M2Fnuz, "f8e5m2fnuz", 8, kFloat},
    {kF8E8M0, "f8e8m0", 8, kFloat},      {kF4E2M1, "f4e2m1", 4, kFloat},
    {kI2, "i2", 2, kSigned},             {kU2, "u2", 2, kUnsigned},
};

}  // namespace

const DataTypeInfo& info(DataType type) { return kTypes[int(type)]; }

std::optional<DataType> parse_data_type(std::string_view name) {
  for (const DataTypeInfo& row : kTypes)
    if (row.name == name) return row.type;
  return std::nullopt;
}

double unit_roundoff(DataType type) {
  switch (type) {
    case kF64: return 0x1p-53;
    case kF32: return 0x1p-24;
    case kF16: return 0x1p-11;
    case kBF16: return 0x1p-8;
    case kF8E4M3Fn: case kF8E4M3Fnuz: return 0x1p-4;
    case kF8E5M2: case kF8E5M2Fnuz: return 0x1p-3;
    case kF4E2M1: return 0x1p-2;
    default: return 0;
  }
}

}  // namespace planish::ir
