// Small text tools for messages: cat() joins pieces of any printable type, join() a range.
#pragma once
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace planish {

std::string to_text(double value);  // shortest form that reads back to the same double

namespace internal {
inline void append(std::string& out, std::string_view text) { out += text; }
inline void append(std::string& out, char c) { out += c; }
template <class T>
  requires std::is_arithmetic_v<T>
void append(std::string& out, T value) {
  if constexpr (std::is_same_v<T, bool>) out += value ? "true" : "false";
  else if constexpr (std::is_floating_point_v<T>) out += to_text(double(value));
  else out += std::to_string(value);
}
}  // namespace internal

template <class... Pieces>
std::string cat(const Pieces&... pieces) {
  std::string out;
  (internal::append(out, pieces), ...);
  return out;
}

// "2, 3, 4"
template <class Range>
std::string join(const Range& range, std::string_view separator = ", ") {
  std::string out;
  bool first = true;
  for (const auto& item : range) {
    if (!first) out += separator;
    first = false;
    internal::append(out, item);
  }
  return out;
}

// "[2, 3, 4]"
template <class Range>
std::string bracketed(const Range& range) {
  return cat('[', join(range), ']');
}

std::vector<std::string> split(std::string_view text, char separator);

}  // namespace planish
