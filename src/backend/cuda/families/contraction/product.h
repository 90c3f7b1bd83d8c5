// Product: a convolution or matrix product with its epilogue, as every kernel of the contraction
// families reads it, whatever the operator said.
//
//   out[batch][row][channel] = epilogue(sum over depth of left[batch][row][depth] * right[batch][channel][depth])
//
// Rows are output pixels (images, height, width in one) or the rows of the left matrix; channels are
// filters or the columns of the right matrix; batches are the groups of a convolution or the leading
// dims of a batched product. A MatMul whose right operand has no batch is one product of many rows.
#pragma once
#include <cstdint>
#include <vector>

#include "backend/cuda/families/contraction/epilogue.h"
#include "kernel/problem.h"

namespace planish::cuda {

// A two-dimensional convolution; one-dimensional ones have height 1.
struct ConvGeometry {
  int64_t images = 1, height = 1, width = 1, channels = 1;  // of the input, all groups
  int64_t taps_y = 1, taps_x = 1;
  int64_t stride_y = 1, stride_x = 1, dilation_y = 1, dilation_x = 1;
  int64_t top = 0, left = 0, bottom = 0, right = 0;  // padding
  int64_t out_height = 1, out_width = 1;
  // Reads each pixel once, in order: a plain matrix product.
  bool is_pointwise() const {
    return taps_y * taps_x == 1 && stride_y * stride_x == 1 && top + left + bottom + right == 0;
  }
};

// How the matrices of a computed (or unpacked) operand follow each other.
struct MatrixOperand {
  int value = -1;            // operand number
  bool depth_inner = true;   // [row or channel][tap][depth]; false: [depth][row or channel]
  int64_t matrices = 1;
  // Matrix of output batch b: the sum of steps[i] * index of b in dim i of batch_dims.
  std::vector<int64_t> steps;
};

struct Product {
  ir::DataType type = ir::DataType::kF32;  // of both operands
  bool is_conv = false;
  ConvGeometry conv;
  MatrixOperand left, right;   // the input or left matrix; the filters or right matrix
  bool right_constant = false; // can be packed
  std::vector<int64_t> batch_dims;
  int64_t batches = 1;
  int64_t rows = 0, channels = 0;  // of one batch
  int64_t depth = 0;               // of one batch and one tap
  Epilogue epilogue;

  int64_t taps() const { return conv.taps_y * conv.taps_x; }
  double flops() const {
    return 2.0 * double(batches) * double(rows) * double(channels) * double(depth * taps());
  }
};

// A convolution or matrix product.
bool is_product(const kernel::Stage& stage);

// The product that a problem asks for. kUnimplemented: another family's problem; kUnsupported: a
// contraction that no kernel of ours takes, with the reason.
Result<Product> product_of(const kernel::Problem& problem);

// Ok, or why a family that knows nothing of moments of rows (defer_layer_norm) does not take the product.
Status without_moments(const Product& product);

// The same for packing, which looks at weights only: symbolic dims get room for any filter.
Result<Product> product_of_any_size(const kernel::Problem& problem);

// Where the second stage that is no expression stands: its number and that of its first output; 0: there is none.
struct RootPlace {
  size_t stage = 0;
  int value = 0;
};
RootPlace second_root(const kernel::Problem& problem);

// The stages before number `stage` as a problem of their own, whose one result is `value`.
kernel::Problem stages_before(const kernel::Problem& problem, size_t stage, int value);

// The stages from number `stage` on, whose first output is `first_value`, as a problem of their own with the
// one result `result`. `mid`, the one value of those before that they read, has become the last operand.
Result<kernel::Problem> stages_from(const kernel::Problem& problem, size_t stage, int first_value, int mid, int result);

// f32 products may be rounded to tf32: the device's property "tf32" says so (--precision tf32).
bool takes_tf32(const kernel::DeviceInfo& device);

// Element of a constant right operand at (batch, channel, tap, depth), in its own order.
int64_t right_element(const Product& product, int64_t batch, int64_t channel, int64_t tap,
                      int64_t depth);

// CUDA text: "DEV int <name>(int batch)", the matrix of an operand that an output batch reads; the
// first row and channel of a batch in the epilogue's counting.
std::string batch_index_text(std::string_view name, const MatrixOperand& operand,
                             const std::vector<int64_t>& batch_dims);
std::string row_base_text(const Product& product, std::string_view batch);
std::string channel_base_text(const Product& product, std::string_view batch);
void replace_all(std::string& text, std::string_view what, std::string_view with);

// Layouts that the contraction kernels take: channels last around convolutions, row-major else.
kernel::LayoutChoice product_layouts(const kernel::Problem& problem, const Product& product);

}  // namespace planish::cuda
