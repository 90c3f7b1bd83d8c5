// The operators' cases as problems with known answers: each case's node alone, and once more between
// elementwise neighbours after the passes have fused them.
#pragma once
#include <string>
#include <vector>

#include "kernel/problem.h"
#include "opdef/op_case.h"
#include "opdef/op_def.h"

namespace planish::gpu_tests {

struct CaseProblem {
  std::string title;                 // "Conv.same_padding_odd", with " fused" behind it
  kernel::Problem problem;           // concrete, row-major
  std::vector<ir::Tensor> operands;  // empty tensors where absent
  std::vector<ir::Tensor> expected;  // by the interpreter, every value rounded to its type
  std::vector<double> rounding;      // per result: largest |rounded - wide|
};

// Problems of one case; empty when the case has none that a kernel is asked (views, random ops,
// results whose dims data decide).
Result<std::vector<CaseProblem>> case_problems(const opdef::OpRegistry& registry,
                                               const opdef::OpCase& op_case);

}  // namespace planish::gpu_tests
