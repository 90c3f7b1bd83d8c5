#include "arrays.h"

#include <cstring>
#include <string>

#include "errors.h"

namespace nb = nanobind;

namespace planish::python {
namespace {

struct TypeRow {
  DataType type;
  nb::dlpack::dtype dlpack;
};
uint8_t code_of(nb::dlpack::dtype_code code) { return uint8_t(code); }

const TypeRow* rows(size_t& count) {
  using Code = nb::dlpack::dtype_code;
  static const TypeRow kRows[] = {
      {DataType::kF32, {code_of(Code::Float), 32, 1}}, {DataType::kF64, {code_of(Code::Float), 64, 1}},
      {DataType::kF16, {code_of(Code::Float), 16, 1}}, {DataType::kBF16, {code_of(Code::Bfloat), 16, 1}},
      {DataType::kI8, {code_of(Code::Int), 8, 1}},     {DataType::kI16, {code_of(Code::Int), 16, 1}},
      {DataType::kI32, {code_of(Code::Int), 32, 1}},   {DataType::kI64, {code_of(Code::Int), 64, 1}},
      {DataType::kU8, {code_of(Code::UInt), 8, 1}},    {DataType::kU16, {code_of(Code::UInt), 16, 1}},
      {DataType::kU32, {code_of(Code::UInt), 32, 1}},  {DataType::kU64, {code_of(Code::UInt), 64, 1}},
      {DataType::kBool, {code_of(Code::Bool), 8, 1}},
  };
  count = std::size(kRows);
  return kRows;
}

}  // namespace

Tensor to_tensor(const Array& array) {
  size_t count = 0;
  const TypeRow* table = rows(count);
  std::vector<int64_t> dims;
  for (size_t i = 0; i < array.ndim(); ++i) dims.push_back(int64_t(array.shape(i)));
  for (size_t i = 0; i < count; ++i) {
    if (!(table[i].dlpack == array.dtype())) continue;
    auto owner = std::make_shared<Array>(array);
    return take(Tensor::view(table[i].type, std::move(dims), array.data(),
                             std::shared_ptr<const void>(owner, owner.get())));
  }
  throw StatusError(Status(Code::kInvalidArgument, "the array's element type is none of Planish's"));
}

nb::object to_numpy(const Tensor& tensor) {
  size_t count = 0;
  const TypeRow* table = rows(count);
  const DataType type = tensor.dtype() == DataType::kBF16 ? DataType::kU16 : tensor.dtype();
  for (size_t i = 0; i < count; ++i) {
    if (table[i].type != type) continue;
    std::vector<size_t> shape(tensor.dims().begin(), tensor.dims().end());
    auto* kept = new Tensor(tensor);
    nb::capsule owner(kept, [](void* p) noexcept { delete static_cast<Tensor*>(p); });
    return nb::cast(nb::ndarray<nb::numpy>(kept->mutable_data(), shape.size(), shape.data(), owner,
                                           nullptr, table[i].dlpack));
  }
  throw StatusError(Status(Code::kUnsupported,
                           "NumPy has no element type " + std::string(name_of(tensor.dtype()))));
}

Tensor copy_of(const Tensor& tensor) {
  Tensor copy = take(Tensor::create(tensor.dtype(), tensor.dims()));
  if (tensor.bytes() > 0) std::memcpy(copy.mutable_data(), tensor.data(), size_t(tensor.bytes()));
  return copy;
}

}  // namespace planish::python
