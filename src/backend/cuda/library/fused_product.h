// FusedProduct: a contraction whose epilogue is of the kind that libraries have: a factor, a bias per
// channel, a tensor like the result, ReLU with or without an upper end.
#pragma once
#include <limits>

#include "backend/cuda/families/contraction/product.h"

namespace planish::cuda {

struct FusedProduct {
  Product product;
  double scale = 1;   // of the sum
  int bias = -1;      // operand number, one element per channel
  int residual = -1;  // operand number, laid out as the result
  bool relu = false;
  double high = std::numeric_limits<double>::infinity();  // upper end of the ReLU
};

// In the layouts that contractions have here (product_layouts), whatever the problem's are: row-major
// around matrix products, channels last around convolutions. kUnimplemented: another family's problem;
// kUnsupported: what is in the epilogue.
Result<FusedProduct> fused_product_of(kernel::Problem problem);

}  // namespace planish::cuda
