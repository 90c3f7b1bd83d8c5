// Between the public types (planish::v1) and the internal ones. The two Status and DataType enums
// have the same numbers, which static_asserts in convert.cc hold.
#pragma once
#include <exception>
#include <new>
#include <string>
#include <vector>

#include "base/status.h"
#include "ir/tensor.h"
#include "planish/status.h"
#include "planish/types.h"

namespace planish::api {

v1::Status to_public(const planish::Status& status);
planish::Status from_public(const v1::Status& status);
inline v1::DataType to_public(ir::DataType type) { return v1::DataType(type); }
inline ir::DataType from_public(v1::DataType type) { return ir::DataType(type); }
v1::TensorDesc describe(std::string name, const ir::TensorType& type);
// Shares the bytes.
v1::Tensor to_public(const ir::Tensor& tensor);
// Shares the bytes; those of a borrowed tensor are copied.
ir::Tensor from_public(const v1::Tensor& tensor);
// Looks at the bytes, for the duration of a call.
ir::Tensor borrow(const v1::Tensor& tensor);
planish::Result<ir::Dim> from_public(const v1::Dim& dim);
planish::Result<ir::Shape> from_public(const std::vector<v1::Dim>& shape);

inline v1::Status to_public(v1::Status status) { return status; }
template <class T, class F>
v1::Result<T> to_public_result(planish::Result<F> result) {
  if (!result.ok()) return to_public(result.status());
  return T(std::move(result).value());
}

// What libraries throw inside of an API call becomes a Status: `body` returns a v1::Status or a
// v1::Result.
template <class F>
auto guarded(F&& body) -> decltype(body()) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return v1::Status(v1::Code::kResourceExhausted, "out of memory");
  } catch (const std::exception& error) {
    return v1::Status(v1::Code::kInternal, std::string("unexpected exception: ") + error.what());
  } catch (...) {
    return v1::Status(v1::Code::kInternal, "unexpected exception of unknown type");
  }
}

}  // namespace planish::api

// As PLANISH_RETURN_IF_ERROR and PLANISH_ASSIGN_OR_RETURN, in functions that return public types, for
// expressions of either kind.
#define PLANISH_API_RETURN_IF_ERROR(expression)                                  \
  do {                                                                           \
    if (auto planish_status_ = (expression); !planish_status_.ok())              \
      return ::planish::api::to_public(planish_status_);                         \
  } while (false)
#define PLANISH_API_ASSIGN_OR_RETURN(target, expression) \
  PLANISH_API_ASSIGN_OR_RETURN_(PLANISH_CONCAT(planish_result_, __LINE__), target, expression)
#define PLANISH_API_ASSIGN_OR_RETURN_(result, target, expression)       \
  auto result = (expression);                                           \
  if (!result.ok()) return ::planish::api::to_public(result.status()); \
  target = std::move(result).value()
