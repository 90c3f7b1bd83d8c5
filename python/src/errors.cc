#include "errors.h"

namespace nb = nanobind;

namespace planish::python {

nb::object exception_of(Code code) {
  return nb::module_::import_("planish.errors").attr("of_code")(int(code));
}

void register_errors(nb::module_& module) {
  nb::register_exception_translator([](const std::exception_ptr& thrown, void*) {
    try {
      std::rethrow_exception(thrown);
    } catch (const StatusError& error) {
      PyErr_SetString(exception_of(error.status.code()).ptr(), error.status.message().c_str());
    }
  });
  module.attr("version") = version();
}

}  // namespace planish::python
