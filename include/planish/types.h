// DataType, Dim, TensorDesc and Tensor: what values are made of, outside of a network as inside.
//
// A tensor here is concrete, dense, row-major host memory: what goes into a run and comes out of it.
// Dims of a network may be symbolic; a TensorDesc says so.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "planish/config.h"
#include "planish/status.h"

namespace planish {
PLANISH_API_NAMESPACE {

// Element types. Numbers are part of the ABI and of the C API.
enum class DataType : uint8_t {
  kF32 = 0, kF16 = 1, kBF16 = 2, kF64 = 3,
  kI8 = 4, kU8 = 5, kI16 = 6, kU16 = 7, kI32 = 8, kI64 = 9, kU32 = 10, kU64 = 11, kBool = 12,
  kF8E4M3Fn = 13, kF8E5M2 = 14, kI4 = 15, kU4 = 16,
  // Stored and cast, never computed with.
  kF8E4M3Fnuz = 17, kF8E5M2Fnuz = 18, kF8E8M0 = 19, kF4E2M1 = 20, kI2 = 21, kU2 = 22,
};

// Where user memory lies: the host's, or a device's own.
enum class MemorySpace { kHost, kDevice };

// "f32", "i64", "f8e4m3fn".
PLANISH_API std::string_view name_of(DataType type);
// Bits per element; types under 8 bits are packed, low bits first.
PLANISH_API int bits_of(DataType type);
PLANISH_API std::optional<DataType> parse_data_type(std::string_view name);
// Bytes of `count` packed elements.
PLANISH_API int64_t bytes_of(DataType type, int64_t count);

// One dimension of a network's value: a number, or an integer expression over named symbols.
struct Dim {
  int64_t value = -1;      // -1: symbolic
  std::string expression;  // "N", "floordiv(H + 1, 2)"; empty when value >= 0

  Dim() = default;
  Dim(int64_t number) : value(number) {}                                   // NOLINT: implicit
  Dim(int number) : value(number) {}                                       // NOLINT: implicit
  Dim(std::string text) : expression(std::move(text)) {}                   // NOLINT: implicit
  Dim(const char* text) : expression(text) {}                              // NOLINT: implicit
  bool is_symbolic() const { return value < 0; }
  std::string to_string() const { return is_symbolic() ? expression : std::to_string(value); }
  friend bool operator==(const Dim&, const Dim&) = default;
};

// An input or output: name, element type, logical shape.
struct TensorDesc {
  std::string name;
  DataType dtype = DataType::kF32;
  std::vector<Dim> shape;

  friend bool operator==(const TensorDesc&, const TensorDesc&) = default;
};
// "f32[N, 3, 224, 224]".
PLANISH_API std::string to_string(const TensorDesc& desc);

// Dense, row-major elements in host memory. Copies are shallow: they share the bytes. Reading is
// thread-safe; writing is for whoever made the tensor.
class PLANISH_API Tensor {
 public:
  Tensor() = default;  // f32[0]
  // Zero-filled. kInvalidArgument for a negative dim, kResourceExhausted when the element count
  // overflows or there is no memory.
  static Result<Tensor> create(DataType dtype, std::vector<int64_t> dims);
  // Borrows `data`, bytes_of(dtype, count) bytes; `owner`, when given, is kept alive with it.
  static Result<Tensor> view(DataType dtype, std::vector<int64_t> dims, const void* data,
                             std::shared_ptr<const void> owner = nullptr);

  DataType dtype() const { return dtype_; }
  const std::vector<int64_t>& dims() const { return dims_; }
  int64_t count() const { return count_; }  // elements
  int64_t bytes() const { return bytes_of(dtype_, count_); }
  const void* data() const { return data_; }
  void* mutable_data() { return const_cast<void*>(data_); }
  template <class T>
  const T* data_as() const {
    return static_cast<const T*>(data_);
  }

  // Element `index` in row-major order, of any type, as a double.
  // Precondition: 0 <= index < count().
  double as_double(int64_t index) const;
  // Keeps the bytes alive when it is the owner; null for borrowed memory.
  const std::shared_ptr<const void>& owner() const { return owner_; }

 private:
  DataType dtype_ = DataType::kF32;
  std::vector<int64_t> dims_ = {0};
  int64_t count_ = 0;
  const void* data_ = nullptr;
  std::shared_ptr<const void> owner_;
};

struct NamedTensor {
  std::string name;
  Tensor tensor;
};

// One serialized ONNX TensorProto (an input_0.pb of a test_data_set folder), read from bytes and
// written to bytes. In libplanish.
PLANISH_API Result<NamedTensor> read_tensor_proto(const void* data, size_t bytes);
PLANISH_API Result<std::string> write_tensor_proto(const std::string& name, const Tensor& tensor);

}  // namespace v1
}  // namespace planish
