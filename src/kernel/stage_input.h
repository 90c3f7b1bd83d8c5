// Whether a value is a stage's input number i: for questions such as KernelDef::packs(), which are
// asked of any problem, also of one that a forged plan brings and supports() will refuse.
#pragma once
#include "kernel/problem.h"

namespace planish::kernel {

inline bool is_input(const Stage& stage, size_t i, int value) {
  return i < stage.inputs.size() && stage.inputs[i] == value;
}

// Whether operand `operand` is the root's input number i, of a root with at most an epilogue.
inline bool is_root_input(const Problem& problem, size_t i, int operand) {
  const auto split = root_and_epilogue(problem);
  return split && is_input(*split->root, i, operand);
}

}  // namespace planish::kernel
