// Shape arithmetic: small integer values whose elements are known as dim expressions. An operator
// that can compute with them says how one output element follows from the inputs' elements, and the
// network's symbols survive Shape -> Mul -> Concat -> Reshape.
#pragma once
#include <functional>

#include "ops/shape_rules.h"

namespace planish::ops {

// Elements worth carrying.
inline constexpr int64_t kMaxKnownElements = 256;

// f gets one element of every input and returns the output's, or nullopt when it cannot be said.
using ContentFunction = std::function<std::optional<Dim>(std::span<const Dim>)>;
// Sets output 0's content when it has rank 0 or 1, is small, and every input's content is known.
// Call after set_output.
void map_content(InferContext& ctx, const ContentFunction& f);

// Lowest value that the expression can take when every symbol is at least 0.
std::optional<int64_t> lowest(const Dim& dim);
std::optional<int64_t> highest(const Dim& dim);

}  // namespace planish::ops
