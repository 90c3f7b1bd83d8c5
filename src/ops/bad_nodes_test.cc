// Wrong attributes and shapes: every one is refused with a message that names the attribute or
// operand, what was got and what was expected, and nothing is computed, divided by zero or allocated.
#include <gtest/gtest.h>

#include "base/text.h"
#include "opdef/infer.h"
#include "ops/case_builder.h"
#include "ops/register_ops.h"

namespace planish::ops {
namespace {

constexpr int64_t kMin = INT64_MIN, kMax = INT64_MAX;

struct BadNode {
  const char* op;
  std::vector<InputCase> inputs;  // shapes of inputs, values of constants
  ir::Attributes attrs;
  const char* message;  // part of the error
};

Status infer(const BadNode& bad) {
  static const opdef::OpRegistry* const kRegistry = [] {
    auto* all = new opdef::OpRegistry;
    register_all_ops(*all);
    return all;
  }();
  ir::Graph graph;
  std::vector<ir::Value*> inputs;
  for (const InputCase& input : bad.inputs) {
    std::string name = cat("v", inputs.size());
    if (input.absent) inputs.push_back(nullptr);
    else if (input.constant)
      inputs.push_back(graph.add_constant(name, ir::Tensor::from_f64(input.dtype, input.dims, input.values)));
    else
      inputs.push_back(graph.add_input(name, {input.dtype, ir::to_shape(input.dims)}));
  }
  ir::Attributes attrs = bad.attrs;
  opdef::fill_defaults(*kRegistry->find(bad.op), attrs);
  ir::Node* node = graph.add_node(bad.op, inputs, attrs, std::vector<ir::TensorType>(1));
  return opdef::infer_node(*kRegistry, *node);
}

void expect_refused(const std::vector<BadNode>& nodes) {
  for (const BadNode& bad : nodes) {
    Status status = infer(bad);
    EXPECT_TRUE(status.code() == Code::kInvalidArgument || status.code() == Code::kResourceExhausted)
        << bad.op << " (" << bad.message << "): " << status.to_string();
    EXPECT_NE(status.message().find(bad.message), std::string::npos)
        << bad.op << ": got \"" << status.message() << "\", expected \"" << bad.message << "\"";
  }
}

InputCase scales(std::vector<double> values) {
  int64_t count = int64_t(values.size());
  return constant(DataType::kF32, {count}, std::move(values));
}

TEST(BadNodes, Convolution) {
  auto x = random({1, 4, 8, 8}), w = random({6, 4, 3, 3});
  expect_refused({
      {"Conv", {random({1, 4, 8}), w}, {}, "got rank 4"},
      {"Conv", {random({4, 8}), random({6, 4})}, {}, "expected rank 3 to 5"},
      {"Conv", {x, w}, {{"strides", ints({0, 1})}}, "attribute 'strides': got [0, 1]"},
      {"Conv", {x, w}, {{"strides", ints({1})}}, "expected 2 values"},
      {"Conv", {x, w}, {{"dilations", ints({1, 0})}}, "attribute 'dilations'"},
      {"Conv", {x, w}, {{"dilations", ints({kMax, 1})}}, "attribute 'dilations'"},
      {"Conv", {x, w}, {{"pads", ints({-1, 0, 0, 0})}}, "attribute 'pads'"},
      {"Conv", {x, w}, {{"pads", ints({kMax, kMax, kMax, kMax})}}, "attribute 'pads'"},
      {"Conv", {x, w}, {{"pads", ints({kMin, 0, 0, 0})}}, "attribute 'pads'"},
      {"Conv", {x, w}, {{"group", integer(0)}}, "attribute 'group': got 0"},
      {"Conv", {x, w}, {{"group", integer(3)}}, "attribute 'group': got 3"},
      {"Conv", {x, w}, {{"group", integer(kMin)}}, "attribute 'group'"},
      {"Conv", {x, w}, {{"kernel_shape", ints({5, 5})}}, "attribute 'kernel_shape'"},
      {"Conv", {x, random({6, 3, 3, 3})}, {}, "channels per group"},
      {"Conv", {x, random({6, 4, 9, 9})}, {}, "padded input of 8"},
      {"Conv", {x, random({6, 4, 0, 3})}, {}, "spatial dims"},
      {"Conv", {x, w}, {{"auto_pad", text("SAME")}}, "attribute 'auto_pad'"},
      {"Conv", {x, w, random({5})}, {}, "expected 6"},
      {"ConvTranspose", {x, random({4, 2, 3, 3})}, {{"strides", ints({0, 0})}}, "attribute 'strides'"},
      {"ConvTranspose", {x, random({4, 2, 3, 3})}, {{"output_padding", ints({-1, 0})}}, "output_padding"},
      {"ConvTranspose", {x, random({4, 2, 3, 3})}, {{"output_shape", ints({kMax, 1})}}, "output_shape"},
      {"ConvTranspose", {x, random({4, 2, 3, 3})}, {{"pads", ints({99, 0, 0, 0})}}, "attribute 'pads'"},
      {"ConvTranspose", {x, random({4, 2, 3, 3})}, {{"group", integer(3)}}, "attribute 'group'"},
      {"ConvTranspose", {x, random({5, 2, 3, 3})}, {}, "dim 0"},
      {"DeformConv", {x, w, random({1, 17, 6, 6})}, {}, "expected 18"},
      {"DeformConv", {x, w, random({1, 18, 6, 6})}, {{"offset_group", integer(0)}}, "offset_group"},
  });
}

TEST(BadNodes, Pools) {
  auto x = random({1, 4, 8, 8});
  expect_refused({
      {"MaxPool", {x}, {{"kernel_shape", ints({0, 2})}}, "attribute 'kernel_shape'"},
      {"MaxPool", {x}, {{"kernel_shape", ints({9, 2})}}, "expected at most that"},
      {"MaxPool", {x}, {{"kernel_shape", ints({2})}}, "expected 2 values"},
      {"MaxPool", {x}, {}, "attribute 'kernel_shape': got nothing"},
      {"MaxPool", {x}, {{"kernel_shape", ints({2, 2})}, {"ceil_mode", integer(7)}}, "ceil_mode"},
      {"MaxPool", {x}, {{"kernel_shape", ints({2, 2})}, {"storage_order", integer(2)}}, "storage_order"},
      {"AveragePool", {x}, {{"kernel_shape", ints({2, 2})}, {"strides", ints({0, 1})}}, "strides"},
      {"AveragePool", {random({4, 8})}, {{"kernel_shape", ints({})}}, "rank"},
      {"LpPool", {x}, {{"kernel_shape", ints({2, 2})}, {"p", integer(0)}}, "attribute 'p'"},
      {"MaxUnpool", {x, random(DataType::kI64, {1, 4, 8, 7})}, {{"kernel_shape", ints({2, 2})}}, "dim 3"},
      {"MaxRoiPool", {x, random({2, 5})}, {{"pooled_shape", ints({0, 1})}}, "pooled_shape"},
      {"RoiAlign", {x, random({2, 4}), random(DataType::kI64, {2})}, {{"output_height", integer(0)}}, "output_height"},
      {"RoiAlign", {x, random({2, 4}), random(DataType::kI64, {3})}, {}, "batch_indices"},
  });
}

TEST(BadNodes, ProductsAndNormalizations) {
  auto x = random({2, 6, 5});
  expect_refused({
      {"MatMul", {random({3, 4}), random({5, 6})}, {}, "inner dim: got 5, expected 4"},
      {"MatMul", {random({}), random({5, 6})}, {}, "got rank 0"},
      {"MatMul", {random({2, 3, 4}), random({3, 4, 5})}, {}, "do not broadcast"},
      {"Gemm", {random({3, 4}), random({5, 6})}, {}, "inner dim"},
      {"Gemm", {random({3, 4}), random({4, 6}), random({5})}, {}, "do not broadcast"},
      {"Gemm", {random({3, 4}), random({4, 6}), random({2, 3, 6})}, {}, "rank"},
      {"Einsum", {random({3, 4})}, {{"equation", text("ij,jk->ik")}}, "2 terms for 1 inputs"},
      {"Einsum", {random({3, 4})}, {{"equation", text("i$->i")}}, "unexpected '$'"},
      {"Einsum", {random({3, 4})}, {{"equation", text("ijk->i")}}, "does not fit rank 2"},
      {"Einsum", {random({3, 4})}, {{"equation", text("ij->iz")}}, "in no input"},
      {"Einsum", {random({3, 4})}, {{"equation", text("ij->ii")}}, "twice"},
      {"Einsum", {random({3, 4})}, {{"equation", text("......->")}}, "unexpected"},
      {"Einsum", {random({3, 4}), random({5, 6})}, {{"equation", text("ij,jk->ik")}}, "do not broadcast"},
      {"BatchNormalization", {x, random({6}), random({6}), random({6}), random({5})}, {}, "expected 6"},
      {"BatchNormalization", {x, random({6}), random({6}), random({6}), random({6})}, {{"epsilon", real(-1)}}, "epsilon"},
      {"LayerNormalization", {x, random({5})}, {{"axis", integer(3)}}, "axis"},
      {"LayerNormalization", {x, random({5})}, {{"axis", integer(kMin)}}, "axis"},
      {"LayerNormalization", {x, random({4})}, {}, "do not broadcast"},
      {"LayerNormalization", {x, random({5})}, {{"stash_type", integer(7)}}, "stash_type"},
      {"GroupNormalization", {x, random({6}), random({6})}, {{"num_groups", integer(0)}}, "num_groups"},
      {"GroupNormalization", {x, random({6}), random({6})}, {{"num_groups", integer(4)}}, "num_groups"},
      {"LRN", {x}, {{"size", integer(0)}}, "attribute 'size'"},
      {"LpNormalization", {x}, {{"p", integer(3)}}, "attribute 'p'"},
      {"MeanVarianceNormalization", {x}, {{"axes", ints({0, 3})}}, "axes"},
      {"MeanVarianceNormalization", {x}, {{"axes", ints({1, -2})}}, "distinct"},
      {"Softmax", {x}, {{"axis", integer(3)}}, "axis"},
      {"Softmax", {random({})}, {}, "rank"},
  });
}

TEST(BadNodes, ReductionsAndPositions) {
  auto x = random({2, 6, 5});
  expect_refused({
      {"ReduceSum", {x, constant_i64({3})}, {}, "got axis 3, expected -3 to 2"},
      {"ReduceSum", {x, constant_i64({-4})}, {}, "got axis -4"},
      {"ReduceSum", {x, constant_i64({0, -3})}, {}, "distinct"},
      {"ReduceSum", {x, constant(DataType::kI64, {1, 1}, {0})}, {}, "rank"},
      {"ArgMax", {x}, {{"axis", integer(3)}}, "axis"},
      {"ArgMax", {random({2, 0})}, {{"axis", integer(1)}}, "empty axis"},
      {"CumSum", {x, constant(DataType::kI64, {}, {5})}, {}, "got axis 5"},
      {"CumSum", {x, constant_i64({0, 1})}, {}, "expected 1"},
      {"TopK", {x, constant_i64({-1})}, {}, "input 1 (K): got -1"},
      {"TopK", {x, constant_i64({6})}, {}, "input 1 (K): got 6, expected 0 to 5"},
      {"TopK", {x, constant_i64({1})}, {{"axis", integer(-4)}}, "axis"},
      {"NegativeLogLikelihoodLoss", {random({3, 5}), random(DataType::kI64, {3})}, {{"reduction", text("max")}}, "reduction"},
      {"NegativeLogLikelihoodLoss", {random({3, 5}), random(DataType::kI64, {4})}, {}, "dim 0"},
  });
}

TEST(BadNodes, Images) {
  auto x = random({1, 2, 6, 5});
  double nan = std::numeric_limits<double>::quiet_NaN();
  expect_refused({
      {"Resize", {x, absent(), scales({1, 1, 0, 1})}, {}, "input 2 (scales): got 0"},
      {"Resize", {x, absent(), scales({1, 1, -2, 1})}, {}, "input 2 (scales): got -2"},
      {"Resize", {x, absent(), scales({1, 1, nan, 1})}, {}, "input 2 (scales)"},
      {"Resize", {x, absent(), scales({1, 1})}, {}, "length: got 2, expected 4"},
      {"Resize", {x, absent(), scales({1, 1, 1, 1}), constant_i64({1, 2, 6, 5})}, {}, "got both"},
      {"Resize", {x}, {}, "got neither"},
      {"Resize", {x, absent(), absent(), constant_i64({1, 2, -6, 5})}, {}, "input 3 (sizes): got -6"},
      {"Resize", {x, absent(), absent(), constant_i64({1, 2, 1099511627776.0, 5})}, {}, "input 3 (sizes)"},
      {"Resize", {x, absent(), absent(), constant_i64({1, 2, 1 << 20, 1 << 20})}, {}, "max_tensor_elements"},
      {"Resize", {x, absent(), scales({1, 1, 1e9, 1e9})}, {}, "max_tensor_elements"},
      {"Resize", {x, absent(), scales({1, 1, 2, 2})}, {{"mode", text("lanczos")}}, "attribute 'mode'"},
      {"Resize", {x, absent(), scales({1, 1, 2, 2})}, {{"antialias", integer(1)}}, "antialias"},
      {"Resize", {x, absent(), scales({1, 1, 2, 2})}, {{"coordinate_transformation_mode", text("tf_crop_and_resize")}}, "roi"},
      {"Resize", {x, absent(), scales({2})}, {{"axes", ints({4})}}, "axes"},
      {"GridSample", {x, random({1, 3, 3, 3})}, {}, "last dim"},
      {"GridSample", {x, random({1, 3, 3, 2})}, {{"padding_mode", text("wrap")}}, "padding_mode"},
      {"AffineGrid", {random({1, 2, 3}), constant_i64({1, 1, 1 << 20, 1 << 20})}, {}, "max_tensor_elements"},
      {"AffineGrid", {random({1, 4, 5}), constant_i64({1, 1, 2, 2})}, {}, "theta"},
      {"Col2Im", {random({1, 9, 9}), constant_i64({5, 5}), constant_i64({3, 0})}, {}, "spatial dims"},
      {"Col2Im", {random({1, 9, 8}), constant_i64({5, 5}), constant_i64({3, 3})}, {}, "dim 2: got 8, expected 9"},
      {"Col2Im", {random({1, 10, 9}), constant_i64({5, 5}), constant_i64({3, 3})}, {}, "multiple"},
      {"CenterCropPad", {x, constant_i64({1, 2, -1, 5})}, {}, "negative"},
      {"NonMaxSuppression", {random({1, 5, 3}), random({1, 1, 5})}, {}, "dim 2"},
      {"NonMaxSuppression", {random({1, 5, 4}), random({1, 1, 6})}, {}, "scores"},
  });
}

TEST(BadNodes, Attention) {
  auto q = random({2, 4, 12}), k = random({2, 6, 12});
  ir::Attributes heads = {{"q_num_heads", integer(3)}, {"kv_num_heads", integer(3)}};
  auto with = [&](const char* key, ir::Attribute value) {
    ir::Attributes attrs = heads;
    attrs[key] = std::move(value);
    return attrs;
  };
  expect_refused({
      {"Attention", {q, k, k}, {}, "q_num_heads"},
      {"Attention", {q, k, k}, with("q_num_heads", integer(0)), "q_num_heads"},
      {"Attention", {q, k, k}, with("q_num_heads", integer(5)), "q_num_heads"},
      {"Attention", {q, k, k}, with("kv_num_heads", integer(2)), "head size"},
      {"Attention", {q, k, random({2, 5, 12})}, heads, "sequence"},
      {"Attention", {q, k, k, random({4, 7})}, heads, "expected at most 6"},
      {"Attention", {q, k, k, random({3, 6})}, heads, "attn_mask"},
      {"Attention", {q, k, k, absent(), random({2, 3, 5, 4})}, heads, "expected both or none"},
      {"Attention", {q, k, k, absent(), random({2, 3, 5, 4}), random({2, 3, 6, 4})}, heads, "past_value"},
      {"Attention", {q, k, k}, with("left_window_size", integer(-2)), "left_window_size"},
      {"Attention", {q, k, k}, with("qk_matmul_output_mode", integer(4)), "qk_matmul_output_mode"},
      {"Attention", {q, k, k}, with("softcap", real(-1)), "softcap"},
      {"RotaryEmbedding", {random({2, 3, 10}), random({9, 2}), random({9, 2}), random(DataType::kI64, {2, 3})},
       {{"num_heads", integer(3)}}, "num_heads"},
      {"RotaryEmbedding", {random({2, 1, 3, 4}), random({9, 3}), random({9, 3}), random(DataType::kI64, {2, 3})}, {}, "last dim"},
      {"RotaryEmbedding", {random({2, 1, 3, 4}), random({9, 2}), random({9, 2}), random(DataType::kI64, {2, 3})},
       {{"rotary_embedding_dim", integer(6)}}, "rotary_embedding_dim"},
      {"LinearAttention", {q, q, q}, {{"q_num_heads", integer(3)}, {"kv_num_heads", integer(2)}}, "q_num_heads"},
      {"LinearAttention", {q, q, q}, heads, "decay"},
      {"CausalConvWithState", {random({2, 5, 9}), random({4, 1, 3})}, {}, "dim 0"},
      {"TensorScatter", {random({2, 3, 4}), random({2, 5, 4})}, {}, "expected at most 3"},
      {"TensorScatter", {random({2, 3, 4}), random({2, 3, 4})}, {{"axis", integer(0)}}, "axis"},
  });
}

TEST(BadNodes, Elementwise) {
  expect_refused({
      {"Add", {random({3}), random({4})}, {}, "do not broadcast"},
      {"Add", {random({3}), random(DataType::kI32, {3})}, {}, "is i32, expected f32"},
      {"PRelu", {random({3}), random({2, 3})}, {}, "rank"},
      {"PRelu", {random({1}), random({3})}, {}, "broadcast dim"},
      {"SwiGLU", {random({3}), random({1})}, {}, "dim 0"},
      {"Celu", {random({3})}, {{"alpha", real(0)}}, "attribute 'alpha'"},
      {"Gelu", {random({3})}, {{"approximate", text("poly")}}, "approximate"},
      {"BitShift", {random(DataType::kU8, {3}), random(DataType::kU8, {3})}, {{"direction", text("UP")}}, "direction"},
      {"Mod", {random({3}), random({3})}, {{"fmod", integer(2)}}, "fmod"},
      {"Clip", {random({3}), random({2})}, {}, "expected 1"},
      {"BitCast", {random({3})}, {{"to", DataType::kI64}}, "attribute 'to'"},
      {"NarrowCast", {random({3})}, {{"to", DataType::kF32}}, "attribute 'to'"},
  });
}

}  // namespace
}  // namespace planish::ops
