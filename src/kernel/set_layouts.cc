#include "kernel/set_layouts.h"

namespace planish::kernel {

void set_layouts(Problem& problem, const LayoutChoice& layouts) {
  for (size_t i = 0; i < problem.operands.size() && i < layouts.operands.size(); ++i)
    problem.operands[i].type.layout = layouts.operands[i];
  for (size_t i = 0; i < problem.results.size() && i < layouts.results.size(); ++i) {
    const int value = problem.results[i];
    if (value < int(problem.operands.size())) continue;
    const auto [stage, output] = problem.stage_of(value);
    problem.stages[size_t(stage)].outputs[size_t(output)].layout = layouts.results[i];
  }
}

}  // namespace planish::kernel
