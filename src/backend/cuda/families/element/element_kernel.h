// Kernels of one thread per few result elements, for any problem of expressions and element
// operators. Other families print their odd cases through here too.
#pragma once
#include "backend/cuda/emit/emitted_kernel.h"
#include "backend/cuda/emit/index_text.h"
#include "kernel/problem.h"

namespace planish::cuda {

// Ok when every stage has element text and nothing expensive is computed more than once; else why
// not (kUnimplemented when no stage is an element operator or expression).
Status supports_elements(const kernel::Problem& problem);

// One kernel per shape and layout among the results. `width` divides what it can: kernels whose
// innermost dim it does not divide take the greatest power of two that does.
struct ElementStep {
  EmittedStep step;
  bool split_lanes = false;  // an operator had to be printed lane by lane
};
Result<ElementStep> emit_elements(const kernel::Problem& problem, int width);

// Do pixels of this result lie as far apart as the launch says (kernel/strided.h)?
bool stores_pixels(const kernel::Problem& problem, int result);
// Position of an element whose channels come last and whose pixels lie `pitch` elements apart.
Coord pixel_offset(const ir::TensorType& type, const Coords& coords, const std::string& pitch);

// The greatest useful width: 16 bytes of the widest type that moves.
int widest_vector(const kernel::Problem& problem);

}  // namespace planish::cuda
