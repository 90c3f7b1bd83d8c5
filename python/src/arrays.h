// Arrays of Python (NumPy, and whatever speaks DLPack) as tensors and back, without copies.
//
// Element types that NumPy lacks (bf16, the 8-bit floats) pass as unsigned integers of their width:
// their bits. DLPack knows bf16 by name.
#pragma once
#include <nanobind/nanobind.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "planish/types.h"

namespace planish::python {

// Where an engine computes: GPU memory that it takes as it is lies on `gpu`; the producer's work on it is
// ordered before what comes next on `stream` (DLPack's protocol).
struct Place {
  int gpu = -1;  // -1: none, a CPU
  void* stream = nullptr;
};

// An array's memory, kept alive.
struct InputArray {
  const void* data = nullptr;
  std::vector<int64_t> dims;
  MemorySpace space = MemorySpace::kHost;
  std::shared_ptr<void> owner;
};
// An array of the host that is not dense in row-major order is copied first, one of a GPU is refused.
// StatusError says which input, what was got and what is expected.
InputArray input_array(const TensorDesc& wanted, nanobind::handle array, const Place& place);

// The same as a tensor, of the host only.
Tensor input_tensor(const TensorDesc& wanted, nanobind::handle array);

// A dense, writable array that results are written to.
struct OutputArray {
  void* data = nullptr;
  std::vector<int64_t> dims;
  int64_t bytes = 0;
  MemorySpace space = MemorySpace::kHost;
};
OutputArray output_array(const TensorDesc& wanted, nanobind::handle array, const Place& place);

// A result in a GPU's memory; another library takes it over by DLPack.
struct DeviceTensor {
  DataType dtype = DataType::kF32;
  std::vector<int64_t> dims;
  std::shared_ptr<void> memory;
  int gpu = 0;
};

// A NumPy array over the tensor's memory, which it keeps alive. `name` stands in the error.
nanobind::object to_numpy(const std::string& name, const Tensor& tensor);

}  // namespace planish::python
