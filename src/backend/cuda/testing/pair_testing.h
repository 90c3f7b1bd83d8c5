// Problems of two 1x1 convolutions for tests.
#pragma once
#include "kernel/problem.h"

namespace planish::cuda {

// in -> mid -> out channels with biases and ReLU; `residual`: added to the wide tensor; `stores_mid`: the
// wide tensor is a result, too.
struct PairCase {
  int64_t n, in, mid, out, h, w;
  bool residual = true, stores_mid = true;
};
kernel::Problem pair_problem(const PairCase& c, ir::DataType type);

}  // namespace planish::cuda
