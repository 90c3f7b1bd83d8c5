// Tensor: concrete row-major elements in host memory (constants, interpreter values, test data).
//
// Storage is shared and may belong to somebody else (a plan's mapped weights); copies are shallow.
// Mutating access is for whoever just created the tensor. Sub-byte types are packed, low bits first.
// Readers of any type go through the conversions below: f64_values() and i64_values() widen
// everything, which is how reference kernels stay plain loops.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ir/type.h"

namespace planish::ir {

class Tensor {
 public:
  Tensor() = default;
  // Zero-filled.
  Tensor(DataType dtype, std::vector<int64_t> dims);
  // Borrows `data` (bytes_of(dtype, count) bytes) for as long as `owner` lives.
  static Tensor view(DataType dtype, std::vector<int64_t> dims, const void* data,
                     std::shared_ptr<const void> owner);
  template <class T>
  static Tensor of(DataType dtype, std::vector<int64_t> dims, std::span<const T> values);
  static Tensor scalar_i64(int64_t value);
  static Tensor vector_i64(std::span<const int64_t> values);
  static Tensor scalar_f32(float value);
  // Values are converted to dtype: floats rounded to nearest even, integers wrapped.
  static Tensor from_f64(DataType dtype, std::vector<int64_t> dims, std::span<const double> values);
  static Tensor from_i64(DataType dtype, std::vector<int64_t> dims, std::span<const int64_t> values);

  DataType dtype() const { return dtype_; }
  const std::vector<int64_t>& dims() const { return dims_; }
  int rank() const { return int(dims_.size()); }
  int64_t dim(int axis) const { return dims_[size_t(axis)]; }
  int64_t count() const { return count_; }
  int64_t bytes() const { return bytes_of(dtype_, count_); }
  const void* data() const { return data_; }
  void* mutable_data() { return const_cast<void*>(data_); }
  template <class T>
  const T* data_as() const { return static_cast<const T*>(data_); }
  template <class T>
  T* mutable_data_as() { return static_cast<T*>(mutable_data()); }
  TensorType type() const { return {dtype_, to_shape(dims_)}; }

  // Any element as double or int64 (floats truncate, bool is 0 or 1).
  double f64(int64_t index) const;
  int64_t i64(int64_t index) const;
  void set_f64(int64_t index, double value);
  void set_i64(int64_t index, int64_t value);
  std::vector<double> f64_values() const;
  std::vector<int64_t> i64_values() const;
  // Overwrites every element, converting as from_f64 / from_i64 do.
  void assign_f64(std::span<const double> values);
  void assign_i64(std::span<const int64_t> values);

  // The same bytes under other dims of equal count.
  Tensor reshaped(std::vector<int64_t> dims) const;
  // Value conversion as ONNX Cast: float to integer truncates, to bool tests for non-zero.
  Tensor converted(DataType dtype) const;
  // Own copy of the bytes.
  Tensor clone() const;
  bool same_bytes(const Tensor& other) const;

 private:
  DataType dtype_ = DataType::kF32;
  std::vector<int64_t> dims_ = {0};
  int64_t count_ = 0;
  const void* data_ = nullptr;
  std::shared_ptr<const void> owner_;
};

// Row-major strides in elements.
std::vector<int64_t> strides_of(std::span<const int64_t> dims);

// Rounds a double to what `dtype` can hold and back (floats only; integers pass).
double round_to(DataType dtype, double value);

template <class T>
Tensor Tensor::of(DataType dtype, std::vector<int64_t> dims, std::span<const T> values) {
  Tensor out(dtype, std::move(dims));
  T* to = out.mutable_data_as<T>();
  for (size_t i = 0; i < values.size(); ++i) to[i] = values[i];
  return out;
}

}  // namespace planish::ir
