// A failed Status on its way to Python, where it becomes the exception of its code.
#pragma once
#include <nanobind/nanobind.h>

#include <exception>
#include <string>
#include <utility>

#include "planish/status.h"

namespace planish::python {

struct StatusError : std::exception {
  explicit StatusError(Status status) : status(std::move(status)) {}
  const char* what() const noexcept override { return status.message().c_str(); }
  Status status;
};

[[noreturn]] inline void refuse(std::string message) {
  throw StatusError(Status(Code::kInvalidArgument, std::move(message)));
}
inline void check(const Status& status) {
  if (!status.ok()) throw StatusError(status);
}
template <class T>
T take(Result<T> result) {
  if (!result.ok()) throw StatusError(result.status());
  return std::move(*result);
}

}  // namespace planish::python
