// Problems of products that follow each other, for tests: two 1x1 convolutions, dense layers.
#pragma once
#include <vector>

#include "kernel/problem.h"

namespace planish::cuda {

// in -> mid -> out channels with biases and ReLU; `residual`: added to the wide tensor; `stores_mid`: the
// wide tensor is a result, too.
struct PairCase {
  int64_t n, in, mid, out, h, w;
  bool residual = true, stores_mid = true;
};
kernel::Problem pair_problem(const PairCase& c, ir::DataType type);

// `widths`: of the input and of each layer's result. Gemm with biases and ReLU behind all but the last;
// `conv`: as 1x1 convolutions of single pixels; `residual`: a computed tensor is added to the first result.
struct StackCase {
  int64_t rows;
  std::vector<int64_t> widths;
  bool conv = false, residual = false;
};
kernel::Problem stack_problem(const StackCase& c, ir::DataType type);

}  // namespace planish::cuda
