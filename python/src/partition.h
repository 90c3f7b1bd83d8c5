// The partition of TensorFlow's graphs as plain Python values; planish/_partition.py wraps them.
#pragma once
#include <nanobind/nanobind.h>

namespace planish::python {

void register_partition(nanobind::module_& module);

}  // namespace planish::python
