// Arrays of Python (NumPy, and whatever speaks DLPack) as tensors and back, without copies.
//
// Element types that NumPy lacks (bf16, the 8-bit floats) pass as unsigned integers of their width:
// their bits. DLPack knows bf16 by name.
#pragma once
#include <nanobind/nanobind.h>

#include <cstdint>
#include <string>
#include <vector>

#include "planish/types.h"

namespace planish::python {

// Shares the array's memory and keeps it alive; an array that is not dense in row-major order is
// copied first. StatusError says which input, what was got and what is expected.
Tensor input_tensor(const TensorDesc& wanted, nanobind::handle array);

// A dense, writable array of the host that results are written to.
struct OutputArray {
  void* data = nullptr;
  std::vector<int64_t> dims;
  int64_t bytes = 0;
};
OutputArray output_array(const TensorDesc& wanted, nanobind::handle array);

// A NumPy array over the tensor's memory, which it keeps alive. `name` stands in the error.
nanobind::object to_numpy(const std::string& name, const Tensor& tensor);

}  // namespace planish::python
