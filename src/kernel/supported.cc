#include "kernel/supported.h"

#include <algorithm>

#include "base/text.h"

namespace planish::kernel {
namespace {

// What the last root reads of the stages before it; -1: there is none.
int read_by_last_root(const Problem& problem) {
  int value = -1;
  for (const Stage& stage : problem.stages)
    if (!stage.is_expr() && !stage.inputs.empty() && stage.inputs[0] >= int(problem.operands.size()))
      value = stage.inputs[0];
  return value;
}

Status gives_values_in_order(const Problem& problem) {
  size_t last = problem.stages.back().outputs.size();
  size_t count = problem.results.size(), skipped = 0;
  // Moments are left beside the value that they are of.
  if (problem.stages.back().op == "PartialMoments" && problem.stages.size() > 1)
    last += problem.stages[problem.stages.size() - 2].outputs.size();
  // Somebody else may need what the last of several roots reads.
  if (count == last + 1 && problem.results[0] >= 0 && problem.results[0] == read_by_last_root(problem)) {
    skipped = 1;
    --count;
  }
  const int first = problem.value_count() - int(count);
  bool in_order = count == last || first == int(problem.operands.size());
  for (size_t i = 0; in_order && i < count; ++i) in_order = problem.results[i + skipped] == first + int(i);
  return in_order ? ok_status()
                  : unsupported(cat("gives values ", join(problem.results, ","), ", expected the ",
                                    last, " outputs at its end in order"));
}

}  // namespace

bool is_empty(const Problem& problem) {
  for (size_t i = 0; i < problem.results.size(); ++i) {
    const ir::Shape& shape = problem.result_type(int(i)).shape;
    if (std::find(shape.begin(), shape.end(), ir::Dim(0)) == shape.end()) return false;
  }
  return true;
}

Status supported(const KernelDef& kernel, const Problem& problem, const DeviceInfo& device) {
  PLANISH_RETURN_IF_ERROR(kernel.supports(problem, device));
  if (kernel.is_reference()) return ok_status();
  if (is_empty(problem)) return unsupported("a result without elements");
  return gives_values_in_order(problem);
}

}  // namespace planish::kernel
