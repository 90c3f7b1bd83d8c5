// What decomposed normalizations share: x * rsqrt(mean(t^2) + epsilon) over the last axes, in the
// spellings of the exporters.
#pragma once
#include <optional>

#include "passes/rewrite.h"

namespace planish::passes {

// d / sqrt(mean(d^2) + epsilon).
struct RootMeanSquare {
  Value* d = nullptr;      // what is squared and divided
  double epsilon = 0;
  int64_t axis = 0;        // first of the normalized axes, which reach to the last
};
// Matches backwards from the node that divides (Div, or Mul by a reciprocal root).
std::optional<RootMeanSquare> match_root_mean_square(Node* node);

// First of the reduced axes when they reach to the last one and dims are kept.
std::optional<int64_t> trailing_axes(const Node& mean);

// A constant with exactly the elements of shape[axis:], reshaped to those dims; null when `v` is not
// such a constant (or one element, which is spread).
Value* trailing_constant(Graph& graph, const Value* v, const Shape& shape, int64_t axis);
// A constant of ones over shape[axis:].
Value* trailing_ones(Graph& graph, DataType dtype, const Shape& shape, int64_t axis);

}  // namespace planish::passes
