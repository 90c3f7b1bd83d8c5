// AttrSpec and TypeSet: the typed schema of an op's attributes and operands.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace planish::opdef {

// A set of element types.
class TypeSet {
 public:
  constexpr TypeSet() = default;
  constexpr TypeSet(std::initializer_list<ir::DataType> types) {
    for (ir::DataType t : types) bits_ |= bit(t);
  }
  constexpr bool contains(ir::DataType t) const { return bits_ & bit(t); }
  friend constexpr TypeSet operator|(TypeSet a, TypeSet b) { return TypeSet(a.bits_ | b.bits_); }
  std::string to_string() const;  // "f32, f16, bf16, f64"

 private:
  constexpr explicit TypeSet(uint64_t bits) : bits_(bits) {}
  static constexpr uint64_t bit(ir::DataType t) { return uint64_t(1) << int(t); }
  uint64_t bits_ = 0;
};

inline constexpr TypeSet kFloats{ir::DataType::kF32, ir::DataType::kF16, ir::DataType::kBF16,
                                 ir::DataType::kF64};
inline constexpr TypeSet kSignedInts{ir::DataType::kI8, ir::DataType::kI16, ir::DataType::kI32,
                                     ir::DataType::kI64};
inline constexpr TypeSet kUnsignedInts{ir::DataType::kU8, ir::DataType::kU16, ir::DataType::kU32,
                                       ir::DataType::kU64};
inline constexpr TypeSet kInts = kSignedInts | kUnsignedInts;
inline constexpr TypeSet kBools{ir::DataType::kBool};
inline constexpr TypeSet kNumbers = kFloats | kInts;
inline constexpr TypeSet kIndices{ir::DataType::kI32, ir::DataType::kI64};
inline constexpr TypeSet kInt64{ir::DataType::kI64};
inline constexpr TypeSet kFloat8{ir::DataType::kF8E4M3Fn, ir::DataType::kF8E5M2,
                                 ir::DataType::kF8E4M3Fnuz, ir::DataType::kF8E5M2Fnuz};
inline constexpr TypeSet kInt4{ir::DataType::kI4, ir::DataType::kU4};
inline constexpr TypeSet kStorageOnly{ir::DataType::kF8E8M0, ir::DataType::kF4E2M1,
                                      ir::DataType::kI2, ir::DataType::kU2};
inline constexpr TypeSet kAnyType = kNumbers | kBools | kFloat8 | kInt4 | kStorageOnly;

enum class AttrKind { kInt, kFloat, kString, kInts, kFloats, kStrings, kType, kTensor, kGraph };
std::string_view name_of(AttrKind kind);
AttrKind kind_of(const ir::Attribute& attribute);

struct AttrSpec {
  std::string name;
  AttrKind kind;
  // Filled in when absent. No default and not required: the attribute may stay absent.
  std::optional<ir::Attribute> default_value;
  bool required = false;
  std::string doc;
};

// Short forms for op files.
AttrSpec int_attr(std::string name, int64_t default_value, std::string doc);
AttrSpec float_attr(std::string name, double default_value, std::string doc);
AttrSpec string_attr(std::string name, std::string default_value, std::string doc);
AttrSpec ints_attr(std::string name, std::vector<int64_t> default_value, std::string doc);
AttrSpec optional_attr(std::string name, AttrKind kind, std::string doc);
AttrSpec required_attr(std::string name, AttrKind kind, std::string doc);

}  // namespace planish::opdef
