// TensorFlow's Fourier transforms. A complex operand or result is two tensors, real and imaginary
// parts one after the other: the TensorFlow importer takes them apart.
#pragma once
#include <vector>

#include "opdef/op_def.h"

namespace planish::ops {

std::vector<opdef::ImportRule> spectrum_rules();  // of DFT
// Of the operators that do most of their work.
std::vector<opdef::ImportRule> complex_magnitude_rules();  // of Sqrt
std::vector<opdef::ImportRule> complex_angle_rules();      // of Atan
std::vector<opdef::ImportRule> complex_exponential_rules();  // of Exp
std::vector<opdef::ImportRule> complex_product_rules();    // of Mul
std::vector<opdef::ImportRule> complex_quotient_rules();   // of Div

}  // namespace planish::ops
