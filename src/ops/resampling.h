// TensorFlow's resizing with filters that read more than the nearest pixels.
#pragma once
#include <vector>

#include "opdef/import.h"

namespace planish::ops {

std::vector<opdef::ImportRule> resampling_rules();  // of MatMul

}  // namespace planish::ops
