// Prints row kernels: `team` threads share a row (or, of strided rows, as many threads share each
// of a few neighbouring ones), read it as vectors, agree on its sums by shuffles and shared memory,
// and write what follows. A row that fits in registers is read once.
#pragma once
#include "backend/cuda/emit/emitted_kernel.h"
#include "backend/cuda/families/rows/row_view.h"

namespace planish::cuda {

struct RowTactic {
  int team = 32;  // threads a row
  int width = 1;  // elements a vector
  bool held = true;  // a row that fits in registers stays there, in a text of its length
};

// The greatest width that divides what lanes run along.
int row_width(const kernel::Problem& problem, const RowView& view);
// Threads of a block.
int row_block(const RowView& view, const RowTactic& tactic);

Result<EmittedKernel> emit_rows(const kernel::Problem& problem, const RowView& view,
                                const RowTactic& tactic);

}  // namespace planish::cuda
