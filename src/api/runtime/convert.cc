#include "api/runtime/convert.h"

#include <cstring>

#include "base/text.h"

namespace planish::api {

static_assert(int(v1::Code::kInternal) == int(planish::Code::kInternal));
static_assert(int(v1::Code::kDataLoss) == int(planish::Code::kDataLoss));
static_assert(int(v1::Code::kVerificationFailed) == int(planish::Code::kVerificationFailed));
static_assert(int(v1::DataType::kBool) == int(ir::DataType::kBool));
static_assert(int(v1::DataType::kU4) == int(ir::DataType::kU4));
static_assert(int(v1::DataType::kU2) == int(ir::DataType::kU2));
static_assert(ir::kDataTypeCount == int(v1::DataType::kU2) + 1);

v1::Status to_public(const planish::Status& status) {
  if (status.ok()) return {};
  return v1::Status(v1::Code(status.code()), status.message());
}

planish::Status from_public(const v1::Status& status) {
  if (status.ok()) return {};
  return planish::Status(planish::Code(status.code()), status.message());
}

v1::TensorDesc describe(std::string name, const ir::TensorType& type) {
  v1::TensorDesc desc{std::move(name), to_public(type.dtype), {}};
  for (const ir::Dim& dim : type.shape) {
    if (const auto value = dim.constant()) {
      desc.shape.emplace_back(*value);
    } else {
      desc.shape.emplace_back(dim.to_string());
    }
  }
  return desc;
}

v1::Tensor to_public(const ir::Tensor& tensor) {
  auto owner = std::make_shared<const ir::Tensor>(tensor);
  auto view = v1::Tensor::view(to_public(tensor.dtype()), tensor.dims(), owner->data(), owner);
  PLANISH_CHECK(view.ok(), "an internal tensor has valid dims");
  return std::move(view).value();
}

ir::Tensor from_public(const v1::Tensor& tensor) {
  if (!tensor.owner()) return borrow(tensor).clone();
  return ir::Tensor::view(from_public(tensor.dtype()), tensor.dims(), tensor.data(),
                          tensor.owner());
}

ir::Tensor borrow(const v1::Tensor& tensor) {
  return ir::Tensor::view(from_public(tensor.dtype()), tensor.dims(), tensor.data(),
                          tensor.owner());
}

planish::Result<ir::Dim> from_public(const v1::Dim& dim) {
  if (!dim.is_symbolic()) return ir::Dim(dim.value);
  if (dim.expression.empty())
    return invalid_argument(cat("dim ", dim.value, " is negative and has no expression"));
  return ir::Dim::parse(dim.expression);
}

planish::Result<ir::Shape> from_public(const std::vector<v1::Dim>& shape) {
  ir::Shape out;
  for (const v1::Dim& dim : shape) {
    PLANISH_ASSIGN_OR_RETURN(ir::Dim converted, from_public(dim));
    out.push_back(std::move(converted));
  }
  return out;
}

}  // namespace planish::api
