// Problems of the contraction families for tests: convolutions and matrix products with the epilogues
// that networks have, laid out as a kernel wants them.
#pragma once
#include <string>

#include "backend/cuda/emit/emitted_kernel_def.h"

namespace planish::cuda {

enum class Activation { kNone, kRelu, kGelu, kSilu };

// What stands behind a root: x + bias[channel] (+ residual), activation, conversion.
struct Behind {
  bool bias = false;
  bool residual = false;
  Activation activation = Activation::kNone;
};

struct ConvCase {
  int64_t n, c, h, w, k, r, s;
  int64_t stride = 1, pad_y = 0, pad_x = 0, dilation = 1, groups = 1;
  Behind behind = {};
};
// A max pool behind a convolution; `scaled`: times a number per channel after it.
struct PoolCase {
  int64_t taps_y = 2, taps_x = 2, stride = 2;
  int64_t top = 0, left = 0, bottom = 0, right = 0;
  bool ceil = false, scaled = false;
};
struct ProductCase {
  std::vector<int64_t> batch;  // leading dims of the left operand
  int64_t m, n, k;
  bool constant_right = true;
  std::vector<int64_t> right_batch = {};
  Behind behind = {};
};
struct GemmCase {
  int64_t m, n, k;
  bool trans_a = false, trans_b = false, constant_right = true;
  double alpha = 1, beta = 1;
  std::vector<int64_t> c = {};  // dims of C; empty: absent
};

struct AttentionCase {
  int64_t batch, heads, queries, keys, size;
  int64_t kv_heads = 0;  // 0: as many as heads
  bool flat = false, causal = false;
  std::vector<int64_t> mask = {};  // dims; empty: none
  ir::DataType mask_type = ir::DataType::kF16;
  bool parts = false;  // of one operand that a Split cuts (flat, as many keys as queries)
};

// Expand (unless mid is in), depthwise 3x3, project; biases, clamps to [0, 6] inside.
struct BottleneckCase {
  int64_t n, in, h, w, mid, out;
  int64_t stride = 1;
  bool expands = true, residual = false;
  int64_t pad_begin = 1, pad_end = 1;
  double high = 6;  // infinity: ReLU
};
kernel::Problem bottleneck_problem(const BottleneckCase& c, ir::DataType type);

// What defer_layer_norm makes of a product: x W of normalized rows, whose moments came in parts of
// `joined` elements (0: x is plain); plus a normalized residual in such parts; moments of the result in
// parts of `left` elements.
struct MomentsCase {
  int64_t rows, n, k;
  int64_t joined = 0, residual = 0, left = 0;
  bool gelu = false;
};

kernel::Problem moments_problem(const MomentsCase& c, ir::DataType type);
kernel::Problem attention_problem(const AttentionCase& c, ir::DataType type);
kernel::Problem conv_problem(const ConvCase& c, ir::DataType type);
// A pool with the convolution's window, strides and pads.
kernel::Problem pool_problem(const std::string& op, const ConvCase& c, ir::DataType type);
kernel::Problem pooled_problem(const ConvCase& c, const PoolCase& pool, ir::DataType type);
kernel::Problem product_problem(const ProductCase& c, ir::DataType type);
kernel::Problem gemm_problem(const GemmCase& c, ir::DataType type);

// The problem with one of the kernel's choices of layouts.
kernel::Problem laid_out(const kernel::KernelDef& def, kernel::Problem problem,
                         const kernel::DeviceInfo& device, int choice = 0);

}  // namespace planish::cuda
