// TensorFlow's decoder of the outputs of networks trained with connectionist temporal classification.
#pragma once
#include <vector>

#include "opdef/import.h"

namespace planish::ops {

std::vector<opdef::ImportRule> ctc_rules();  // of NonZero

}  // namespace planish::ops
