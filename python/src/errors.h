// A failed Status on its way to Python, where it becomes the exception of its code.
#pragma once
#include <nanobind/nanobind.h>

#include <exception>
#include <utility>

#include "planish/status.h"

namespace planish::python {

struct StatusError : std::exception {
  explicit StatusError(Status status) : status(std::move(status)) {}
  const char* what() const noexcept override { return status.message().c_str(); }
  Status status;
};

inline void check(const Status& status) {
  if (!status.ok()) throw StatusError(status);
}
template <class T>
T take(Result<T> result) {
  if (!result.ok()) throw StatusError(result.status());
  return std::move(*result);
}

// Python's exception of a code, from planish/errors.py.
nanobind::object exception_of(Code code);
void register_errors(nanobind::module_& module);

}  // namespace planish::python
