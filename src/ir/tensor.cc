#include "ir/tensor.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <new>

#include "base/float_types.h"
#include "base/text.h"
#include "base/zeroed_bytes.h"

namespace planish::ir {
namespace {

std::shared_ptr<void> allocate_zeroed(int64_t bytes) {
  const auto owner = std::make_shared<ZeroedBytes>(size_t(std::max<int64_t>(bytes, 1)));
  return std::shared_ptr<void>(owner, owner->data());
}

unsigned packed_bits(const void* data, int64_t index, int bits) {
  const int per_byte = 8 / bits;
  const uint8_t byte = static_cast<const uint8_t*>(data)[index / per_byte];
  return (byte >> (index % per_byte * bits)) & ((1u << bits) - 1);
}

void set_packed_bits(void* data, int64_t index, int bits, unsigned value) {
  const int per_byte = 8 / bits;
  uint8_t& byte = static_cast<uint8_t*>(data)[index / per_byte];
  const int shift = int(index % per_byte) * bits;
  const unsigned mask = ((1u << bits) - 1) << shift;
  byte = uint8_t((byte & ~mask) | ((value << shift) & mask));
}

int sign_extended(unsigned value, int bits) {
  const int v = int(value);
  return v >= (1 << (bits - 1)) ? v - (1 << bits) : v;
}

// Truncation towards zero that is defined for every double: out of range wraps modulo 2^64 only
// within int64, NaN gives 0.
int64_t truncated(double v) {
  if (std::isnan(v)) return 0;
  if (v >= 9223372036854775808.0)
    return v < 18446744073709551616.0 ? int64_t(uint64_t(v)) : std::numeric_limits<int64_t>::max();
  if (v < -9223372036854775808.0) return std::numeric_limits<int64_t>::min();
  return int64_t(v);
}

// Calls fn with a typed pointer for byte-sized integer and plain float types; false otherwise.
template <class Fn>
bool dispatch_plain(DataType dtype, const void* data, Fn&& fn) {
  switch (dtype) {
    case DataType::kF32: fn(static_cast<const float*>(data)); return true;
    case DataType::kF64: fn(static_cast<const double*>(data)); return true;
    case DataType::kI8: fn(static_cast<const int8_t*>(data)); return true;
    case DataType::kU8:
    case DataType::kBool: fn(static_cast<const uint8_t*>(data)); return true;
    case DataType::kI16: fn(static_cast<const int16_t*>(data)); return true;
    case DataType::kU16: fn(static_cast<const uint16_t*>(data)); return true;
    case DataType::kI32: fn(static_cast<const int32_t*>(data)); return true;
    case DataType::kI64: fn(static_cast<const int64_t*>(data)); return true;
    case DataType::kU32: fn(static_cast<const uint32_t*>(data)); return true;
    case DataType::kU64: fn(static_cast<const uint64_t*>(data)); return true;
    default: return false;
  }
}

double read_f64(DataType dtype, const void* data, int64_t i) {
  const auto* u8 = static_cast<const uint8_t*>(data);
  switch (dtype) {
    case DataType::kF32: return static_cast<const float*>(data)[i];
    case DataType::kF64: return static_cast<const double*>(data)[i];
    case DataType::kF16: return half_to_float(static_cast<const uint16_t*>(data)[i]);
    case DataType::kBF16: return bfloat16_to_float(static_cast<const uint16_t*>(data)[i]);
    case DataType::kI8: return static_cast<const int8_t*>(data)[i];
    case DataType::kU8: return u8[i];
    case DataType::kBool: return u8[i] != 0;
    case DataType::kI16: return static_cast<const int16_t*>(data)[i];
    case DataType::kU16: return static_cast<const uint16_t*>(data)[i];
    case DataType::kI32: return static_cast<const int32_t*>(data)[i];
    case DataType::kI64: return double(static_cast<const int64_t*>(data)[i]);
    case DataType::kU32: return static_cast<const uint32_t*>(data)[i];
    case DataType::kU64: return double(static_cast<const uint64_t*>(data)[i]);
    case DataType::kF8E4M3Fn: return mini_to_float(u8[i], kF8E4M3Fn);
    case DataType::kF8E5M2: return mini_to_float(u8[i], kF8E5M2);
    case DataType::kF8E4M3Fnuz: return mini_to_float(u8[i], kF8E4M3Fnuz);
    case DataType::kF8E5M2Fnuz: return mini_to_float(u8[i], kF8E5M2Fnuz);
    case DataType::kF8E8M0: return e8m0_to_float(u8[i]);
    case DataType::kF4E2M1: return mini_to_float(uint8_t(packed_bits(data, i, 4)), kF4E2M1);
    case DataType::kI4: return sign_extended(packed_bits(data, i, 4), 4);
    case DataType::kU4: return packed_bits(data, i, 4);
    case DataType::kI2: return sign_extended(packed_bits(data, i, 2), 2);
    case DataType::kU2: return packed_bits(data, i, 2);
  }
  return 0;
}

void write_i64(DataType dtype, void* data, int64_t i, int64_t v);

void write_f64(DataType dtype, void* data, int64_t i, double v) {
  auto* u8 = static_cast<uint8_t*>(data);
  switch (dtype) {
    case DataType::kF32: static_cast<float*>(data)[i] = float(v); return;
    case DataType::kF64: static_cast<double*>(data)[i] = v; return;
    case DataType::kF16: static_cast<uint16_t*>(data)[i] = double_to_half(v); return;
    case DataType::kBF16: static_cast<uint16_t*>(data)[i] = double_to_bfloat16(v); return;
    case DataType::kBool: u8[i] = v != 0; return;
    case DataType::kF8E4M3Fn: u8[i] = float_to_mini(float(v), kF8E4M3Fn); return;
    case DataType::kF8E5M2: u8[i] = float_to_mini(float(v), kF8E5M2); return;
    case DataType::kF8E4M3Fnuz: u8[i] = float_to_mini(float(v), kF8E4M3Fnuz); return;
    case DataType::kF8E5M2Fnuz: u8[i] = float_to_mini(float(v), kF8E5M2Fnuz); return;
    case DataType::kF8E8M0: u8[i] = float_to_e8m0(float(v)); return;
    case DataType::kF4E2M1: set_packed_bits(data, i, 4, float_to_mini(float(v), kF4E2M1)); return;
    default: write_i64(dtype, data, i, truncated(v));
  }
}

void write_i64(DataType dtype, void* data, int64_t i, int64_t v) {
  switch (dtype) {
    case DataType::kI8: static_cast<int8_t*>(data)[i] = int8_t(v); return;
    case DataType::kU8: static_cast<uint8_t*>(data)[i] = uint8_t(v); return;
    case DataType::kBool: static_cast<uint8_t*>(data)[i] = v != 0; return;
    case DataType::kI16: static_cast<int16_t*>(data)[i] = int16_t(v); return;
    case DataType::kU16: static_cast<uint16_t*>(data)[i] = uint16_t(v); return;
    case DataType::kI32: static_cast<int32_t*>(data)[i] = int32_t(v); return;
    case DataType::kI64: static_cast<int64_t*>(data)[i] = v; return;
    case DataType::kU32: static_cast<uint32_t*>(data)[i] = uint32_t(v); return;
    case DataType::kU64: static_cast<uint64_t*>(data)[i] = uint64_t(v); return;
    case DataType::kI4:
    case DataType::kU4: set_packed_bits(data, i, 4, unsigned(v) & 15); return;
    case DataType::kI2:
    case DataType::kU2: set_packed_bits(data, i, 2, unsigned(v) & 3); return;
    default: write_f64(dtype, data, i, double(v));
  }
}

}  // namespace

Tensor::Tensor(DataType dtype, std::vector<int64_t> dims)
    : dtype_(dtype), dims_(std::move(dims)), count_(element_count(dims_)) {
  auto owner = allocate_zeroed(bytes());
  data_ = owner.get();
  owner_ = std::move(owner);
}

Tensor Tensor::view(DataType dtype, std::vector<int64_t> dims, const void* data,
                    std::shared_ptr<const void> owner) {
  Tensor t;
  t.dtype_ = dtype;
  t.dims_ = std::move(dims);
  t.count_ = element_count(t.dims_);
  t.data_ = data;
  t.owner_ = std::move(owner);
  return t;
}

Tensor Tensor::scalar_i64(int64_t value) {
  return from_i64(DataType::kI64, {}, std::span(&value, 1));
}
Tensor Tensor::vector_i64(std::span<const int64_t> values) {
  return from_i64(DataType::kI64, {int64_t(values.size())}, values);
}
Tensor Tensor::scalar_f32(float value) {
  return of<float>(DataType::kF32, {}, std::span<const float>(&value, 1));
}

Tensor Tensor::from_f64(DataType dtype, std::vector<int64_t> dims, std::span<const double> values) {
  Tensor t(dtype, std::move(dims));
  t.assign_f64(values);
  return t;
}
Tensor Tensor::from_i64(DataType dtype, std::vector<int64_t> dims,
                        std::span<const int64_t> values) {
  Tensor t(dtype, std::move(dims));
  t.assign_i64(values);
  return t;
}

double Tensor::f64(int64_t index) const { return read_f64(dtype_, data_, index); }

int64_t Tensor::i64(int64_t index) const {
  int64_t out = 0;
  if (dtype_ == DataType::kI64 || dtype_ == DataType::kU64)
    return static_cast<const int64_t*>(data_)[index];
  out = truncated(f64(index));
  return out;
}

void Tensor::set_f64(int64_t index, double value) {
  write_f64(dtype_, mutable_data(), index, value);
}
void Tensor::set_i64(int64_t index, int64_t value) {
  write_i64(dtype_, mutable_data(), index, value);
}

std::vector<double> Tensor::f64_values() const {
  std::vector<double> out(static_cast<size_t>(count_));
  const bool plain = dtype_ != DataType::kBool && dispatch_plain(dtype_, data_, [&](const auto* p) {
    for (int64_t i = 0; i < count_; ++i) out[size_t(i)] = double(p[i]);
  });
  if (!plain)
    for (int64_t i = 0; i < count_; ++i) out[size_t(i)] = f64(i);
  return out;
}

std::vector<int64_t> Tensor::i64_values() const {
  std::vector<int64_t> out(static_cast<size_t>(count_));
  for (int64_t i = 0; i < count_; ++i) out[size_t(i)] = i64(i);
  return out;
}

void Tensor::assign_f64(std::span<const double> values) {
  PLANISH_CHECK(int64_t(values.size()) == count_,
                cat("got ", values.size(), " values for ", count_, " elements"));
  if (dtype_ == DataType::kF32) {
    float* p = mutable_data_as<float>();
    for (int64_t i = 0; i < count_; ++i) p[i] = float(values[size_t(i)]);
    return;
  }
  for (int64_t i = 0; i < count_; ++i) set_f64(i, values[size_t(i)]);
}

void Tensor::assign_i64(std::span<const int64_t> values) {
  PLANISH_CHECK(int64_t(values.size()) == count_,
                cat("got ", values.size(), " values for ", count_, " elements"));
  for (int64_t i = 0; i < count_; ++i) set_i64(i, values[size_t(i)]);
}

Tensor Tensor::reshaped(std::vector<int64_t> dims) const {
  PLANISH_CHECK(element_count(dims) == count_,
                cat("cannot view ", count_, " elements as ", bracketed(dims)));
  Tensor t = *this;
  t.dims_ = std::move(dims);
  return t;
}

Tensor Tensor::converted(DataType dtype) const {
  if (dtype == dtype_) return *this;
  Tensor out(dtype, dims_);
  if (!is_float(dtype_) && !is_float(dtype) && dtype != DataType::kBool) {
    for (int64_t i = 0; i < count_; ++i) out.set_i64(i, i64(i));
  } else if (dtype_ == DataType::kU64) {
    const auto* p = data_as<uint64_t>();
    for (int64_t i = 0; i < count_; ++i) out.set_f64(i, double(p[i]));
  } else {
    for (int64_t i = 0; i < count_; ++i) out.set_f64(i, f64(i));
  }
  return out;
}

Tensor Tensor::clone() const {
  Tensor out(dtype_, dims_);
  std::memcpy(out.mutable_data(), data_, size_t(bytes()));
  return out;
}

bool Tensor::same_bytes(const Tensor& other) const {
  return dtype_ == other.dtype_ && dims_ == other.dims_ &&
         (data_ == other.data_ || std::memcmp(data_, other.data_, size_t(bytes())) == 0);
}

std::vector<int64_t> strides_of(std::span<const int64_t> dims) {
  std::vector<int64_t> strides(dims.size());
  int64_t stride = 1;
  for (size_t i = dims.size(); i-- > 0;) {
    strides[i] = stride;
    stride *= dims[i];
  }
  return strides;
}

double round_to(DataType dtype, double value) {
  if (dtype == DataType::kF32) return float(value);
  if (dtype == DataType::kF64 || !is_float(dtype)) return value;
  uint64_t storage = 0;
  write_f64(dtype, &storage, 0, value);
  return read_f64(dtype, &storage, 0);
}

}  // namespace planish::ir
