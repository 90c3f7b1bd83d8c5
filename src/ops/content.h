// Shape arithmetic: the elements of small integer tensors as Dim expressions, so that
// Shape -> Gather -> Mul -> Concat -> Reshape folds to symbols without knowing a size.
//
// An op that moves elements calls set_moved_content, an elementwise op propagate_content; both run
// after set_output and do nothing when some element is not known. Floating tensors take part while
// their elements are whole numbers (Shape -> Cast -> Mul -> Floor -> Cast).
#pragma once
#include <functional>
#include <optional>
#include <vector>

#include "ops/dims.h"

namespace planish::ops {

// Tensors over this many elements are data, not shapes.
inline constexpr int64_t kMaxContentElements = 256;

// Elements of input i as dims when it is small and all of them are known.
std::optional<std::vector<Dim>> small_content(const InferContext& ctx, int i);
// True when output i is small and of a type that shape arithmetic uses (i32, i64, bool, f32, f64).
bool carries_content(InferContext& ctx, int i);

// Content of output 0 of an op that copies elements of input 0: `move` is the op's own copying
// code, run on a tensor of element numbers.
void set_moved_content(InferContext& ctx, const std::function<void(const Tensor&, Tensor&)>& move);

// Content of an elementwise op by its name (Add, Sub, Mul, Div, Mod, Min, Max, Neg, Abs, Floor,
// Ceil, Round, Cast, Identity, Equal, Less..., And, Or, Not, Where); no-op for every other op.
void propagate_content(InferContext& ctx);

}  // namespace planish::ops
