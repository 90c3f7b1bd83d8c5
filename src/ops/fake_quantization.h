// TensorFlow's operators that round real numbers as quantization would: FakeQuant* and
// QuantizeAndDequantize*. With 8 bits and a known range they become QuantizeLinear and
// DequantizeLinear, so that the range stays in the graph; otherwise a formula.
#pragma once
#include <vector>

#include "opdef/op_def.h"

namespace planish::ops {

std::vector<opdef::ImportRule> fake_quantization_rules();  // of QuantizeLinear
std::vector<opdef::ImportRule> dequantization_rules();     // of DequantizeLinear

}  // namespace planish::ops
