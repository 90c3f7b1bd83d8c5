// recognize_silu: x * sigmoid(alpha x), with the sigmoid as an op or written out with exp or tanh.
// alpha is 1 in SiLU and 1.702 in CLIP's approximation of Gelu.
#include <cmath>

#include "passes/function_match.h"
#include "passes/passes.h"

namespace planish::passes {
namespace {

std::optional<NamedFunction> guess(const RealFunction& sampled) {
  // f(1) = sigmoid(alpha).
  const double at_one = sampled(1);
  if (!(at_one > 0.01 && at_one < 0.9999)) return std::nullopt;
  double alpha = std::log(at_one / (1 - at_one));
  if (std::fabs(alpha - 1) < 1e-5) alpha = 1;
  return NamedFunction{"Swish", {{"alpha", alpha}}, [alpha](double x) {
                         return x / (1 + std::exp(-alpha * x));
                       }};
}

}  // namespace

Result<bool> recognize_silu(Graph& graph, PassContext& context) {
  return match_functions(graph, context,
                         {"recognize_silu",
                          {kernel::ScalarOp::kSigmoid, kernel::ScalarOp::kExp,
                           kernel::ScalarOp::kTanh},
                          guess});
}

}  // namespace planish::passes
