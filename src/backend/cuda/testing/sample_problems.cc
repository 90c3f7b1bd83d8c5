#include "backend/cuda/testing/sample_problems.h"

#include "backend/cuda/testing/compile_testing.h"
#include "backend/cuda/testing/contraction_testing.h"
#include "backend/cuda/testing/pair_testing.h"

namespace planish::cuda {
namespace {

using ir::DataType;
using ir::Layout;
using ir::TensorType;
using kernel::Problem;
using Samples = std::vector<SampleProblem>;

constexpr DataType kF16 = DataType::kF16, kBF16 = DataType::kBF16, kF32 = DataType::kF32;
constexpr TensorCores kNone = TensorCores::kNone, kMma = TensorCores::kMma, kWgmma = TensorCores::kWgmma;
const Behind kRelu{true, false, Activation::kRelu}, kBoth{true, true, Activation::kRelu};
constexpr char kAmpere[] = "sm_80";

void add_wgmma(Samples& out) {
  const auto add = [&](std::string title, Problem problem, bool tf32 = false) {
    out.push_back({"cuda.contraction_wgmma", std::move(title), std::move(problem), kWgmma, "sm_90a", 0, tf32});
  };
  const ConvCase residual{2, 64, 14, 14, 256, 1, 1, 1, 0, 0, 1, 1, kBoth};
  add("residual", conv_problem(residual, kF16));
  add("tf32", conv_problem(residual, kF32), true);
  add("batch32", conv_problem({32, 128, 28, 28, 128, 3, 3, 1, 1, 1, 1, 1, kRelu}, kBF16));
  add("deep", conv_problem({1, 512, 7, 7, 512, 3, 3, 1, 1, 1, 1, 1, kBoth}, kF16));
  add("pooled", pooled_problem({8, 128, 112, 112, 128, 3, 3, 1, 1, 1, 1, 1, kRelu}, {}, kF16));
  add("one_row", product_problem({{}, 1, 1000, 2048, true, {}, {true, false, Activation::kNone}}, kF16));
  add("batched", product_problem({{2, 3}, 72, 200, 64, false, {1, 3}, {false, true, Activation::kSilu}}, kF16));
  add("large", product_problem({{}, 4096, 4096, 4096, true, {}, {true, false, Activation::kGelu}}, kF16));
  add("joins_moments", moments_problem({128, 3072, 768, 48, 0, 0, true}, kF16));
  add("leaves_moments", moments_problem({128, 768, 768, 0, 48, 48}, kF16));
}

void add_hopper_convolutions(Samples& out) {
  const auto window = [&](std::string title, Problem problem) {
    out.push_back({"cuda.window_wgmma", std::move(title), std::move(problem), kWgmma});
  };
  window("resnet", conv_problem({8, 64, 56, 56, 64, 3, 3, 1, 1, 1, 1, 1, kRelu}, kF16));
  window("no_padding", conv_problem({8, 32, 149, 149, 32, 3, 3, 1, 0, 0, 1, 1, kRelu}, kF16));
  window("taps5", conv_problem({8, 48, 35, 35, 64, 5, 5, 1, 2, 2, 1, 1, kRelu}, kF16));
  window("residual", conv_problem({8, 96, 35, 35, 96, 3, 3, 1, 1, 1, 1, 1, kBoth}, kF16));
  window("pooled", pooled_problem({8, 64, 224, 224, 64, 3, 3, 1, 1, 1, 1, 1, kRelu}, {}, kF16));
  window("pooled_bf16", pooled_problem({8, 96, 36, 36, 96, 3, 3, 1, 1, 1, 1, 1, kRelu}, {}, kBF16));
  const auto stem = [&](std::string title, Problem problem, int layout = 0) {
    out.push_back({"cuda.stem_wgmma", std::move(title), std::move(problem), kWgmma, "sm_90a", layout});
  };
  const ConvCase small{2, 3, 32, 32, 64, 3, 3, 1, 1, 1, 1, 1, kRelu};
  stem("resnet", conv_problem({1, 3, 224, 224, 64, 7, 7, 2, 3, 3, 1, 1, kRelu}, kF16));
  stem("small", conv_problem(small, kF16));
  stem("odd", conv_problem({2, 3, 33, 31, 20, 3, 3, 2, 1, 1, 1, 1, kRelu}, kF16));
  stem("pooled", pooled_problem({128, 3, 224, 224, 64, 7, 7, 2, 3, 3, 1, 1, kRelu}, {3, 3, 2, 1, 1, 1, 1}, kF16));
  stem("pooled_channels_last", pooled_problem(small, {}, kBF16), 1);
  const auto pair = [&](std::string title, const PairCase& c) {
    out.push_back({"cuda.pair_wgmma", std::move(title), pair_problem(c, kF16), kWgmma});
  };
  pair("resnet", {8, 64, 256, 64, 56, 56});
  pair("wider", {8, 64, 256, 128, 56, 56});
  pair("no_residual", {8, 40, 192, 96, 28, 28, false, false});
  const auto bottleneck = [&](std::string title, const BottleneckCase& c) {
    out.push_back({"cuda.bottleneck_mma", std::move(title), bottleneck_problem(c, kF16), kMma});
  };
  bottleneck("no_expansion", {128, 32, 112, 112, 32, 16, 1, false});
  bottleneck("residual", {128, 24, 56, 56, 144, 24, 1, true, true});
  bottleneck("stride2", {128, 32, 28, 28, 192, 64, 2});
}

void add_stacks(Samples& out) {
  const auto add = [&](std::string title, const StackCase& c, DataType type) {
    out.push_back({"cuda.stack_mma", std::move(title), stack_problem(c, type), kMma});
  };
  add("mlp", {1, {256, 1024, 1024, 512, 256, 1}}, kF16);
  add("squeeze", {1, {1152, 48, 1152}, true}, kF16);
  add("rows", {24, {40, 200, 72}, false, true}, kBF16);
}

void add_attention(Samples& out) {
  const auto add = [&](std::string title, const AttentionCase& c, DataType type = kF16) {
    out.push_back({"cuda.attention_wgmma", std::move(title), attention_problem(c, type), kWgmma});
  };
  add("bert", {2, 12, 128, 128, 64, 0, true});
  add("bert_masked", {64, 12, 128, 128, 64, 0, true, false, {64, 1, 1, 128}, kF16, true});
  add("causal", {2, 3, 200, 200, 64, 0, false, true, {2, 1, 1, 200}});
  add("grouped", {1, 4, 300, 500, 128, 2}, kBF16);
  add("many", {128, 8, 128, 300, 128}, kBF16);
  add("masked_by_head", {64, 4, 264, 264, 64, 2, true, true, {4, 1, 264}, kBF16});
  add("masked_by_head_d128", {64, 4, 136, 136, 128, 2, false, true, {4, 1, 136}, kBF16}, kBF16);
  for (const char* isa : {"sm_90a", kAmpere})
    out.push_back({"cuda.attention_plain", "heads40", attention_problem({1, 2, 50, 50, 40}, kF32), kNone, isa});
}

void add_plain(Samples& out) {
  const auto add = [&](std::string title, Problem problem, TensorCores expected, std::string isa = "sm_90a") {
    out.push_back({"cuda.contraction_plain", std::move(title), std::move(problem), expected, std::move(isa)});
  };
  const ConvCase residual{2, 64, 14, 14, 256, 1, 1, 1, 0, 0, 1, 1, kBoth};
  add("residual_f32", conv_problem(residual, kF32), kNone);
  add("residual", conv_problem(residual, kF16), kMma, kAmpere);
  add("three_channels", conv_problem({1, 3, 32, 32, 64, 3, 3, 1, 1, 1, 1, 1, kRelu}, kF16), kMma);
  add("groups", conv_problem({1, 24, 9, 9, 36, 3, 3, 1, 1, 1, 1, 6, {}}, kBF16), kMma);
  add("gemm", gemm_problem({33, 65, 47, true, true, false, 0.5, 2, {33, 1}}, kF32), kNone, kAmpere);
  for (const char* isa : {"sm_90a", kAmpere})
    out.push_back({"cuda.simt", "product", product_problem({{3}, 70, 100, 40, true, {}, {}}, kF32), kNone, isa});
  out.push_back({"cuda.simt", "conv", conv_problem({2, 6, 14, 14, 10, 3, 3, 1, 1, 1, 1, 1, kRelu}, kF32), kNone, "sm_90a", 1});
}

void add_patches(Samples& out) {
  const auto depthwise = [&](std::string title, const ConvCase& c, std::string isa = "sm_90a") {
    out.push_back({"cuda.depthwise", std::move(title), conv_problem(c, kF16), kNone, std::move(isa)});
  };
  const ConvCase single{1, 576, 14, 14, 576, 3, 3, 1, 1, 1, 1, 576, kRelu};
  depthwise("batch128", {128, 384, 14, 14, 384, 3, 3, 1, 1, 1, 1, 384, kRelu});
  depthwise("batch1", single);
  depthwise("stride2", {128, 96, 112, 112, 96, 3, 3, 2, 1, 1, 1, 96, kRelu});
  depthwise("taps5", {8, 240, 28, 28, 240, 5, 5, 2, 2, 2, 1, 240, kRelu});
  depthwise("batch1", single, kAmpere);
  const auto pool = [&](std::string op, const ConvCase& c, std::string isa = "sm_90a") {
    Problem problem = pool_problem(op, c, kF16);
    out.push_back({"cuda.pool", std::move(op), std::move(problem), kNone, std::move(isa)});
  };
  const ConvCase halved{128, 64, 147, 147, 64, 3, 3, 2, 0, 0, 1, 64};
  pool("AveragePool", {128, 768, 17, 17, 768, 3, 3, 1, 1, 1, 1, 768});
  pool("MaxPool", halved);
  pool("MaxPool", halved, kAmpere);
  out.back().may_spill = {"rows=2,strip=2,v=8"};
}

Problem recurrent_problem(const std::string& op, int64_t gates) {
  const int64_t hidden = 64, rows = gates * hidden;
  std::vector<TensorType> results = {{kF16, {12, 1, 8, hidden}}, {kF16, {1, 8, hidden}}};
  if (op == "LSTM") results.push_back(results.back());
  Problem problem = stage_problem(op, {{"direction", std::string("forward")}},
                                  {{kF16, {12, 8, 32}}, {kF16, {1, rows, 32}}, {kF16, {1, rows, hidden}}, {kF16, {1, 2 * rows}}},
                                  std::move(results));
  for (size_t i = 1; i < 4; ++i) problem.operands[i].constant = true;
  return problem;
}

Problem suppression_problem() {
  Problem problem = stage_problem("SuppressedScores", {{"center_point_box", int64_t(0)}},
                                  {{kF32, {1, 900, 4}}, {kF32, {1, 8, 900}}, {DataType::kI64, {1}}, {kF32, {1}}, {kF32, {1}}},
                                  {{kF32, {1, 8, 900}}});
  for (const auto& [operand, value] : {std::pair(2, 100.0), std::pair(3, 0.5), std::pair(4, 0.25)}) {
    problem.operands[size_t(operand)].constant = true;
    problem.operands[size_t(operand)].value =
        ir::Tensor::from_f64(problem.operands[size_t(operand)].type.dtype, {1}, std::span(&value, 1));
  }
  return problem;
}

Problem scaled_sum(const TensorType& whole, const TensorType& scale) {
  kernel::ExprBuilder b;
  const int product = b.mul(b.arg(0, whole.dtype), b.arg(1, whole.dtype));
  const int sum = b.add(product, b.arg(2, whole.dtype));
  return pointwise_problem({whole, scale, whole}, b.finish({b.unary(kernel::ScalarOp::kTanh, sum)}, 3), {whole});
}

void add_memory_bound(Samples& out) {
  const Layout last = Layout::channels_last(4);
  const TensorType image{kF16, {2, 64, 28, 28}, last}, planar{kF16, {2, 40, 7, 9}};
  for (const char* isa : {"sm_90a", kAmpere}) {
    const auto add = [&](std::string family, std::string title, Problem problem) {
      out.push_back({std::move(family), std::move(title), std::move(problem), kNone, isa});
    };
    add("cuda.pointwise", "one_scale", scaled_sum(image, {kF16, {}}));
    add("cuda.element", "scale_of_channels", scaled_sum(image, {kF16, {64, 1, 1}}));
    add("cuda.element", "transpose", stage_problem("Transpose", {{"perm", std::vector<int64_t>{0, 2, 1, 3}}}, {planar}, {{kF16, {2, 7, 40, 9}}}));
    add("cuda.rows", "softmax", stage_problem("Softmax", {{"axis", int64_t(-1)}}, {{kF16, {96, 1000}}}, {{kF16, {96, 1000}}}));
    add("cuda.rows", "mean_of_pixels", stage_problem("GlobalAveragePool", {}, {{kF16, {8, 64, 7, 7}, last}}, {{kF16, {8, 64, 1, 1}, last}}));
    add("cuda.tile_copy", "to_channels_last", stage_problem("LayoutConvert", {}, {planar}, {{kF16, {2, 40, 7, 9}, last}}));
    add("cuda.top_k", "ten", stage_problem("TopK", {{"axis", int64_t(-1)}}, {{kF16, {4, 1000}}}, {{kF16, {4, 10}}, {DataType::kI64, {4, 10}}}));
    add("cuda.suppression", "boxes900", suppression_problem());
    for (const auto& [op, gates] : {std::pair("LSTM", 4), std::pair("GRU", 3), std::pair("RNN", 1)})
      add("cuda.recurrent", op, recurrent_problem(op, gates));
  }
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const SampleProblem& sample) {
  return out << sample.family << " " << sample.title << " " << sample.isa;
}

std::vector<SampleProblem> sample_problems() {
  Samples out;
  add_wgmma(out);
  add_hopper_convolutions(out);
  add_stacks(out);
  add_attention(out);
  add_plain(out);
  add_patches(out);
  add_memory_bound(out);
  return out;
}

}  // namespace planish::cuda
