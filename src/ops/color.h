// TensorFlow's conversions between RGB and HSV, as formulas of ours.
#pragma once
#include <vector>

#include "opdef/import.h"

namespace planish::ops {

std::vector<opdef::ImportRule> color_rules();  // of Where

}  // namespace planish::ops
