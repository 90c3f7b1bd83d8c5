// Recognizing a function by what it computes, not by how an exporter spelled it. A cluster of
// elementwise nodes with one computed operand of its result's shape and scalar constants is a function
// of one variable; sampled in double over its range and compared with a candidate, x * 0.5 *
// (1 + erf(x / sqrt 2)) is Gelu in whatever order it was written.
#pragma once
#include <functional>
#include <optional>

#include "passes/rewrite.h"

namespace planish::passes {

using RealFunction = std::function<double(double)>;

struct NamedFunction {
  std::string op;
  Attributes attrs;
  RealFunction value;
};
// Says which function the samples may come from (parameters are estimated from a few of them).
using Guess = std::optional<NamedFunction> (*)(const RealFunction& sampled);

struct FunctionPattern {
  std::string_view pass;              // for the counter
  std::vector<kernel::ScalarOp> marks;  // one of them occurs in every spelling
  Guess guess;
};

// Replaces every cluster that computes a function of the pattern by its op, largest clusters first.
Result<bool> match_functions(Graph& graph, PassContext& context, const FunctionPattern& pattern);

}  // namespace planish::passes
