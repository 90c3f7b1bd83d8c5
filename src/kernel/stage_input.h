// Whether a value is a stage's input number i: for questions such as KernelDef::packs(), which are
// asked of any problem, also of one that a forged plan brings and supports() will refuse.
#pragma once
#include "kernel/problem.h"

namespace planish::kernel {

inline bool is_input(const Stage& stage, size_t i, int value) {
  return i < stage.inputs.size() && stage.inputs[i] == value;
}

}  // namespace planish::kernel
