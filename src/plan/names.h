// The names by which a plan file speaks of what the code numbers. A name in a file never changes.
#pragma once
#include <string_view>
#include <type_traits>

#include "plan/program.h"

namespace planish::plan {

inline constexpr std::string_view kSpaceNames[] = {"host", "pinned", "device"};
inline constexpr std::string_view kValueKindNames[] = {"temporary", "input", "constant"};

template <class T>
constexpr std::string_view attribute_kind() {
  if constexpr (std::is_same_v<T, int64_t>)
    return "int";
  else if constexpr (std::is_same_v<T, double>)
    return "float";
  else if constexpr (std::is_same_v<T, std::string>)
    return "string";
  else if constexpr (std::is_same_v<T, std::vector<int64_t>>)
    return "ints";
  else if constexpr (std::is_same_v<T, std::vector<double>>)
    return "floats";
  else if constexpr (std::is_same_v<T, std::vector<std::string>>)
    return "strings";
  else if constexpr (std::is_same_v<T, ir::DataType>)
    return "type";
  else if constexpr (std::is_same_v<T, ir::Tensor>)
    return "tensor";
  else {
    static_assert(std::is_same_v<T, ir::GraphPtr>);
    return "graph";
  }
}

}  // namespace planish::plan
