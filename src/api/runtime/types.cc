// Public element types and tensors.
#include "planish/types.h"

#include <cstring>
#include <new>

#include "api/runtime/convert.h"
#include "base/text.h"
#include "ir/data_type.h"

namespace planish::v1 {
namespace {

bool is_known(DataType type) { return int(type) < ir::kDataTypeCount; }

constexpr size_t kAlignment = 64;

struct Bytes {
  explicit Bytes(size_t count)
      : data(static_cast<std::byte*>(
            ::operator new(count + kAlignment, std::align_val_t(kAlignment)))) {
    std::memset(data, 0, count + kAlignment);
  }
  ~Bytes() { ::operator delete(data, std::align_val_t(kAlignment)); }
  Bytes(const Bytes&) = delete;
  Bytes& operator=(const Bytes&) = delete;
  std::byte* data;
};

Result<int64_t> checked_count(DataType dtype, const std::vector<int64_t>& dims) {
  if (!is_known(dtype))
    return Status(Code::kInvalidArgument, cat("element type number ", int(dtype), " is unknown"));
  const auto count = ir::checked_element_count(dims);
  if (!count || *count > (int64_t(1) << 58)) {
    return Status(Code::kInvalidArgument,
                  cat("shape ", bracketed(dims), " has a negative dim or overflows"));
  }
  return *count;
}

}  // namespace

std::string_view name_of(DataType type) {
  return is_known(type) ? ir::name_of(api::from_public(type)) : std::string_view("unknown");
}

int bits_of(DataType type) { return is_known(type) ? ir::bits_of(api::from_public(type)) : 0; }

std::optional<DataType> parse_data_type(std::string_view name) {
  const auto type = ir::parse_data_type(name);
  if (!type) return std::nullopt;
  return api::to_public(*type);
}

int64_t bytes_of(DataType type, int64_t count) { return (count * bits_of(type) + 7) / 8; }

std::string to_string(const TensorDesc& desc) {
  std::vector<std::string> dims;
  for (const Dim& dim : desc.shape) dims.push_back(dim.to_string());
  return cat(name_of(desc.dtype), bracketed(dims));
}

Result<Tensor> Tensor::create(DataType dtype, std::vector<int64_t> dims) {
  auto count = checked_count(dtype, dims);
  if (!count.ok()) return count.status();
  return api::guarded([&]() -> Result<Tensor> {
    Tensor tensor;
    tensor.dtype_ = dtype;
    tensor.dims_ = std::move(dims);
    tensor.count_ = *count;
    auto bytes = std::make_shared<Bytes>(size_t(tensor.bytes()));
    tensor.data_ = bytes->data;
    tensor.owner_ = std::move(bytes);
    return tensor;
  });
}

Result<Tensor> Tensor::view(DataType dtype, std::vector<int64_t> dims, const void* data,
                            std::shared_ptr<const void> owner) {
  auto count = checked_count(dtype, dims);
  if (!count.ok()) return count.status();
  if (!data && *count > 0)
    return Status(Code::kInvalidArgument, cat("null data for ", *count, " elements"));
  Tensor tensor;
  tensor.dtype_ = dtype;
  tensor.dims_ = std::move(dims);
  tensor.count_ = *count;
  tensor.data_ = data;
  tensor.owner_ = std::move(owner);
  return tensor;
}

double Tensor::as_double(int64_t index) const { return api::borrow(*this).f64(index); }

}  // namespace planish::v1
