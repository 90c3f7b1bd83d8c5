// Whether a Problem says what its ops allow. A problem made from a graph does; one that comes out of
// a plan file is data, and kernels take for granted what is checked here: operands, attributes and
// types by the op's schema, and output types that follow from the inputs.
#pragma once
#include "base/status.h"
#include "kernel/problem.h"
#include "opdef/op_def.h"

namespace planish::opdef {

// Looks at every stage that is no expression. Dims may be symbolic; an output dim is compared where
// both the stage and the op's inference know it. The error names the stage, got and expected.
// Thread-safe. Precondition: the problem keeps the rules of plan::verify(problem).
Status check_problem(const OpRegistry& registry, const kernel::Problem& problem);

}  // namespace planish::opdef
