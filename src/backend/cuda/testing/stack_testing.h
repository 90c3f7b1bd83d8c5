// Problems of dense layers that follow each other, for tests.
#pragma once
#include <vector>

#include "kernel/problem.h"

namespace planish::cuda {

// `widths`: of the input and of each layer's result. Gemm with biases and ReLU behind all but the last;
// `conv`: as 1x1 convolutions of single pixels; `residual`: a computed tensor is added to the first result.
struct StackCase {
  int64_t rows;
  std::vector<int64_t> widths;
  bool conv = false, residual = false;
};
kernel::Problem stack_problem(const StackCase& c, ir::DataType type);

}  // namespace planish::cuda
