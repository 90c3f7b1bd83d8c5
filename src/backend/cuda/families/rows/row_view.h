// Reading a problem as rows: every element of a row is reduced to a few numbers (its maximum, sum,
// mean), from which the row's results follow. Softmax, normalizations, reductions, global pools.
#pragma once
#include <string>
#include <vector>

#include "kernel/problem.h"

namespace planish::cuda {

// One axis that a row kernel walks, in the operand's memory order: a dim, or a part of the channels
// of a group normalization.
struct RowAxis {
  int dim = 0;
  int64_t size = 1, step = 1;  // of the dim's coordinate
  bool reduced = false;
};

struct RowView {
  int root = 0;               // stage number
  std::vector<RowAxis> axes;  // outermost first
  int64_t rows = 1, length = 1;
  bool reduces = false;    // the result has one element a row
  bool keeps_dims = true;  // of a reduction
  // The innermost axis in memory that has more than one element is one of the rows'.
  bool strided = false;
  int64_t inner = 1;  // its size
  std::vector<int64_t> sizes(bool reduced) const;
};

// kUnimplemented when no root of the problem works on rows.
Result<RowView> row_view(const kernel::Problem& problem);

}  // namespace planish::cuda
