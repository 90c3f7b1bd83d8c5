// The parts of the extension module, one file each, and what they share.
#pragma once
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/variant.h>

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "planish/host.h"
#include "planish/types.h"

namespace planish::python {

void register_errors(nanobind::module_& module);
void register_arrays(nanobind::module_& module);
void register_network(nanobind::module_& module);
void register_engine(nanobind::module_& module);
void register_context(nanobind::module_& module);
void register_build(nanobind::module_& module);
void register_verify(nanobind::module_& module);

// (name, element type, dims) of each; a dim is a number or an expression.
using Dims = nanobind::typed<nanobind::tuple, std::variant<int64_t, std::string>, nanobind::ellipsis>;
using TensorRow = nanobind::typed<nanobind::tuple, nanobind::str, nanobind::str, Dims>;
using TensorRows = nanobind::typed<nanobind::list, TensorRow>;
TensorRows describe(const std::vector<TensorDesc>& all);

}  // namespace planish::python
