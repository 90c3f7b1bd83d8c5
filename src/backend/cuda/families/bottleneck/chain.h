// Chain: a region of convolutions as the fused kernel reads it: 1x1 (expand), depthwise 3x3, 1x1
// (project), or the latter two alone. Between them stand a bias per channel and a clamp (ReLU, ReLU6);
// behind the projection stands any Epilogue.
#pragma once
#include <limits>

#include "backend/cuda/families/contraction/epilogue.h"
#include "kernel/problem.h"

namespace planish::cuda::bottleneck {

// x + bias, then not below `low` nor above `high`; NaN stays.
struct Inner {
  int weights = -1, bias = -1;  // operand numbers
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
};

struct Chain {
  ir::DataType type = ir::DataType::kF16;
  int input = 0;
  bool expands = false;
  Inner expand, depthwise;
  int project_weights = -1;
  int64_t images = 1, height = 1, width = 1, out_height = 1, out_width = 1;
  int64_t in_channels = 1, mid_channels = 1, out_channels = 1;
  int64_t stride = 1, top = 0, left = 0;
  Epilogue epilogue;

  double flops() const;
};

// kUnimplemented: another family's problem; kUnsupported: why this one is not taken.
Result<Chain> chain_of(const kernel::Problem& problem);
// The same for packing, which looks at weights only: symbolic dims get room for any filter.
Result<Chain> chain_of_any_size(const kernel::Problem& problem);

}  // namespace planish::cuda::bottleneck
