// TensorFlow's morphological dilation of images.
#pragma once
#include <vector>

#include "opdef/import.h"

namespace planish::ops {

std::vector<opdef::ImportRule> dilation_rules();  // of Max

}  // namespace planish::ops
