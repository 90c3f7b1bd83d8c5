// Working on any numeric tensor in the widest type of its kind: double for floating types, int64_t
// for signed integers and bool, uint64_t for unsigned ones. Reference code that must be exact on
// integers is written once as a template over the three.
#pragma once
#include <cmath>
#include <limits>
#include <type_traits>
#include <vector>

#include "ir/tensor.h"

namespace planish::ops {

// Calls f with the elements as std::vector<double>, <int64_t> or <uint64_t>.
template <class F>
auto with_values(const ir::Tensor& tensor, F f) {
  if (ir::is_float(tensor.dtype())) return f(tensor.f64_values());
  std::vector<int64_t> values = tensor.i64_values();
  if (!ir::is_unsigned_int(tensor.dtype())) return f(std::move(values));
  return f(std::vector<uint64_t>(values.begin(), values.end()));
}

// Writes such elements back, rounded or wrapped to the tensor's type.
inline void assign(ir::Tensor& tensor, const std::vector<double>& values) {
  tensor.assign_f64(values);
}
inline void assign(ir::Tensor& tensor, const std::vector<int64_t>& values) {
  tensor.assign_i64(values);
}
inline void assign(ir::Tensor& tensor, const std::vector<uint64_t>& values) {
  tensor.assign_i64(std::vector<int64_t>(values.begin(), values.end()));
}

// Integer arithmetic that wraps, without undefined behaviour.
template <class T>
T wrapping_add(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) return a + b;
  else return T(uint64_t(a) + uint64_t(b));
}
template <class T>
T wrapping_multiply(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) return a * b;
  else return T(uint64_t(a) * uint64_t(b));
}
template <class T>
bool is_nan(T x) {
  if constexpr (std::is_floating_point_v<T>) return std::isnan(x);
  else return false;
}
// a before b in a total order with NaN last.
template <class T>
bool less_nan_last(T a, T b) {
  if (is_nan(a)) return false;
  if (is_nan(b)) return true;
  return a < b;
}

}  // namespace planish::ops
