#include "errors.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <string>
#include <vector>

#include "bindings.h"
#include "planish/config.h"

namespace nb = nanobind;

namespace planish::python {
namespace {

constexpr Code kLastCode = Code::kInternal;

void raise(const Status& status) {
  const nb::object kind =
      nb::module_::import_("planish.errors").attr("of_code")(code_name(status.code()));
  PyErr_SetString(kind.ptr(), status.message().c_str());
}

}  // namespace

void register_errors(nb::module_& module) {
  nb::register_exception_translator([](const std::exception_ptr& thrown, void*) {
    try {
      std::rethrow_exception(thrown);
    } catch (const StatusError& error) {
      raise(error.status);
    }
  });
  module.def("version", &version);
  module.def("code_names", [] {
    std::vector<std::string> names;
    for (int code = int(Code::kInvalidArgument); code <= int(kLastCode); ++code)
      names.emplace_back(code_name(Code(code)));
    return names;
  }, "Names of the library's status codes; planish.errors has an exception for each.");
}

}  // namespace planish::python
