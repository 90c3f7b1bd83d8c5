// Concrete inputs for test cases: the given elements, or random ones from a fixed seed.
#pragma once
#include "ir/tensor.h"
#include "opdef/op_case.h"

namespace planish::ops {

// Elements of input `index` of a case. Equal seeds give equal tensors on every machine.
ir::Tensor make_input(const opdef::InputCase& input, uint64_t seed);

}  // namespace planish::ops
