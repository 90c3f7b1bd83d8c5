// TensorFlow's operators that put rows where an index says: segments, stitches and sparse tensors, all
// of them formulas around ScatterND.
#pragma once
#include <vector>

#include "opdef/op_def.h"

namespace planish::ops {

std::vector<opdef::ImportRule> segment_rules();

}  // namespace planish::ops
