// Shape arithmetic of ops that move elements: the elements of small integer tensors as Dim
// expressions, so that Shape -> Gather -> Concat -> Reshape folds to symbols without knowing a
// size. What elementwise ops do with elements stands in known_elements.h.
#pragma once
#include <functional>
#include <optional>
#include <vector>

#include "ops/dims.h"

namespace planish::ops {

// Elements of input i as dims when it is small and all of them are known.
std::optional<std::vector<Dim>> small_content(const InferContext& ctx, int i);
// True when output i is small and of an integer type.
bool carries_content(InferContext& ctx, int i);

// Content of output 0 of an op that copies elements of input 0: `move` is the op's own copying
// code, run on a tensor of element numbers. Call after set_output.
void set_moved_content(InferContext& ctx, const std::function<void(const Tensor&, Tensor&)>& move);

}  // namespace planish::ops
