// Arrays of Python (NumPy, and whatever speaks DLPack) as tensors and back, without copies.
#pragma once
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include "planish/types.h"

namespace planish::python {

using Array = nanobind::ndarray<nanobind::c_contig, nanobind::device::cpu>;

// Shares the array's memory and keeps it alive. StatusError for an element type of Python's alone.
Tensor to_tensor(const Array& array);
// A NumPy array over the tensor's memory, which it keeps alive. bf16 comes as its bits (uint16), as
// NumPy has no such type.
nanobind::object to_numpy(const Tensor& tensor);
// A tensor with memory of its own.
Tensor copy_of(const Tensor& tensor);

}  // namespace planish::python
