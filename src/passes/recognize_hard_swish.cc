// recognize_hard_swish: x * (x / 6 + 1 / 2 within 0 and 1), written with Clip, HardSigmoid, Min and
// Max or Relu, the 6 divided or multiplied in before or behind.
#include <algorithm>

#include "passes/function_match.h"
#include "passes/passes.h"

namespace planish::passes {
namespace {

std::optional<NamedFunction> guess(const RealFunction&) {
  return NamedFunction{"HardSwish", {}, [](double x) {
                         return x * std::clamp(x / 6 + 0.5, 0.0, 1.0);
                       }};
}

}  // namespace

Result<bool> recognize_hard_swish(Graph& graph, PassContext& context) {
  return match_functions(graph, context,
                         {"recognize_hard_swish",
                          {kernel::ScalarOp::kMin, kernel::ScalarOp::kMax},
                          guess});
}

}  // namespace planish::passes
