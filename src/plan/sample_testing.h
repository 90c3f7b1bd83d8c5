// For tests only: plans made by hand that use everything a plan file can hold.
#pragma once
#include "plan/program.h"

namespace planish::plan {

// What the files in tests/golden hold, so it does not change: new kinds of content get a plan of
// their own. Every kind of value, view, attribute, tensor, symbol and blob; about 8 KB.
Plan rich_plan();
// A step with a body that holds a step with a body, each with a weight in a section.
Plan nested_plan();
// One convolution with a residual and ReLU over a symbolic batch, one weight in a section: small
// enough to damage exhaustively.
Plan small_plan();

}  // namespace planish::plan
