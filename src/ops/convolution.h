// Convolution in double, shared by Conv, ConvInteger, QLinearConv and ConvTranspose.
#pragma once
#include "ops/spatial.h"

namespace planish::ops {

struct ConvGeometry {
  int64_t n = 0, ic = 0, oc = 0, group = 1;
  Spatial3 spatial;
};

// Window and output shape of a convolution of input `x` (N C spatial) with weights input `w`
// (M C/group kernel); every attribute and dim is checked.
struct ConvInference {
  Window window;
  Shape output;
};
Result<ConvInference> infer_convolution(InferContext& ctx, int x, int w);

// The geometry of a node whose inference has passed.
Result<ConvGeometry> conv_geometry(const ir::Attributes& attrs, const Tensor& x, const Tensor& w,
                                   std::span<const int64_t> output);

// Output N M spatial, without bias.
std::vector<double> convolve(std::span<const double> x, std::span<const double> w,
                             const ConvGeometry& geometry);

// Products per output element: C/group times the kernel's volume; 1 where the weights are symbolic.
int64_t conv_accumulation(const ir::Node& node, int weights);

}  // namespace planish::ops
