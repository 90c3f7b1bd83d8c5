// Element types. One table row each; everything else asks the row.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

namespace planish::ir {

enum class DataType : uint8_t {
  kF32, kF16, kBF16, kF64,
  kI8, kU8, kI16, kU16, kI32, kI64, kU32, kU64, kBool,
  kF8E4M3Fn, kF8E5M2, kI4, kU4,
  // Stored and cast, never computed with.
  kF8E4M3Fnuz, kF8E5M2Fnuz, kF8E8M0, kF4E2M1, kI2, kU2,
};
inline constexpr int kDataTypeCount = 23;

enum class TypeKind : uint8_t { kFloat, kSigned, kUnsigned, kBool };

struct DataTypeInfo {
  DataType type;
  std::string_view name;  // "f32"
  int bits;               // 1 < bits < 8 are packed, low bits first
  TypeKind kind;
};

const DataTypeInfo& info(DataType type);
std::optional<DataType> parse_data_type(std::string_view name);

inline std::string_view name_of(DataType type) { return info(type).name; }
inline int bits_of(DataType type) { return info(type).bits; }
inline bool is_float(DataType type) { return info(type).kind == TypeKind::kFloat; }
inline bool is_signed_int(DataType type) { return info(type).kind == TypeKind::kSigned; }
inline bool is_unsigned_int(DataType type) { return info(type).kind == TypeKind::kUnsigned; }
inline bool is_integer(DataType type) { return is_signed_int(type) || is_unsigned_int(type); }
// Bytes of `count` packed elements.
inline int64_t bytes_of(DataType type, int64_t count) { return (count * bits_of(type) + 7) / 8; }
// The unit roundoff u: half the spacing of the type at 1. 0 for integers.
double unit_roundoff(DataType type);

}  // namespace planish::ir
