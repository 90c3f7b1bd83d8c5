#include "backend/cuda/testing/contraction_testing.h"

#include <cmath>

#include "kernel/window.h"

namespace planish::cuda {
namespace {

using ir::DataType;
using kernel::ExprBuilder;
using kernel::Problem;
using kernel::ScalarOp;

ir::TensorType type_of(DataType type, const std::vector<int64_t>& dims) {
  return {type, ir::to_shape(dims)};
}

int add_operand(Problem& problem, DataType type, const std::vector<int64_t>& dims, bool constant) {
  kernel::Operand operand;
  operand.type = type_of(type, dims);
  operand.constant = constant;
  problem.operands.push_back(std::move(operand));
  return int(problem.operands.size()) - 1;
}

int activated(ExprBuilder& b, int x, Activation activation, DataType type) {
  switch (activation) {
    case Activation::kNone: return x;
    case Activation::kRelu: return b.max(x, b.imm(0, type));
    case Activation::kSilu: return b.mul(x, b.unary(ScalarOp::kSigmoid, x));
    case Activation::kGelu: {
      const int erf = b.unary(ScalarOp::kErf, b.mul(x, b.imm(std::sqrt(0.5), type)));
      return b.mul(b.mul(x, b.imm(0.5, type)), b.add(erf, b.imm(1, type)));
    }
  }
  return x;
}

// Puts the root stage and, where something stands behind it, an expression.
void finish(Problem& problem, kernel::Stage root, const std::vector<int64_t>& out, DataType type,
            const Behind& behind, const std::vector<int64_t>& bias_dims) {
  const bool plain = !behind.bias && !behind.residual && behind.activation == Activation::kNone;
  std::vector<int> inputs;
  ExprBuilder b;
  int x = b.arg(0, type);
  if (behind.bias) {
    inputs.push_back(add_operand(problem, type, bias_dims, true));
    x = b.add(x, b.arg(int(inputs.size()), type));
  }
  if (behind.residual) {
    inputs.push_back(add_operand(problem, type, out, false));
    x = b.add(x, b.arg(int(inputs.size()), type));
  }
  x = activated(b, x, behind.activation, type);
  const int value = problem.value_count();
  root.outputs = {type_of(type, out)};
  problem.stages.push_back(std::move(root));
  problem.results = {value};
  if (plain) return;
  kernel::Stage stage;
  stage.op = std::string(kernel::kExprStage);
  stage.inputs = {value};
  stage.inputs.insert(stage.inputs.end(), inputs.begin(), inputs.end());
  stage.outputs = {type_of(type, out)};
  stage.expr = b.finish({x}, int(inputs.size()) + 1);
  problem.stages.push_back(std::move(stage));
  problem.results = {value + 1};
}

}  // namespace

Problem bottleneck_problem(const BottleneckCase& c, DataType type) {
  Problem problem;
  const int64_t height = (c.h + c.pad_begin + c.pad_end - 3) / c.stride + 1;
  const int64_t width = (c.w + c.pad_begin + c.pad_end - 3) / c.stride + 1;
  const std::vector<int64_t> out = {c.n, c.out, height, width};
  const int input = add_operand(problem, type, {c.n, c.in, c.h, c.w}, false);
  struct Step {
    int64_t in, out, groups, taps, stride, pad_begin, pad_end;
    int weights = -1, bias = -1;
  };
  std::vector<Step> steps;
  if (c.expands) steps.push_back({c.in, c.mid, 1, 1, 1, 0, 0});
  steps.push_back({c.mid, c.mid, c.mid, 3, c.stride, c.pad_begin, c.pad_end});
  steps.push_back({c.mid, c.out, 1, 1, 1, 0, 0});
  for (Step& s : steps) {
    s.weights = add_operand(problem, type, {s.out, s.in / s.groups, s.taps, s.taps}, true);
    s.bias = add_operand(problem, type, {s.out}, true);
  }
  const int residual = c.residual ? add_operand(problem, type, out, false) : -1;
  int value = input, next = int(problem.operands.size());
  for (size_t i = 0; i < steps.size(); ++i) {
    const Step& s = steps[i];
    const bool before = c.expands && i == 0, last = i + 1 == steps.size();
    kernel::Stage conv;
    conv.op = "Conv";
    conv.inputs = {value, s.weights, s.bias};
    conv.attrs["group"] = s.groups;
    conv.attrs["strides"] = std::vector<int64_t>{s.stride, s.stride};
    conv.attrs["dilations"] = std::vector<int64_t>{1, 1};
    conv.attrs["pads"] = std::vector<int64_t>{s.pad_begin, s.pad_begin, s.pad_end, s.pad_end};
    conv.attrs["kernel_shape"] = std::vector<int64_t>{s.taps, s.taps};
    conv.outputs = {type_of(type, {c.n, s.out, before ? c.h : height, before ? c.w : width})};
    problem.stages.push_back(conv);
    value = next++;
    if (last && residual < 0) continue;
    ExprBuilder b;
    int x = b.arg(0, type);
    kernel::Stage stage;
    stage.op = std::string(kernel::kExprStage);
    stage.inputs = {value};
    if (last) {
      stage.inputs.push_back(residual);
      x = b.add(x, b.arg(1, type));
    } else {
      x = b.max(x, b.imm(0, type));
      if (std::isfinite(c.high)) x = b.min(x, b.imm(c.high, type));
    }
    stage.outputs = conv.outputs;
    stage.expr = b.finish({x}, int(stage.inputs.size()));
    problem.stages.push_back(std::move(stage));
    value = next++;
  }
  problem.results = {value};
  return problem;
}

namespace {

kernel::Stage join_stage(int moments, int64_t width, int64_t rows) {
  kernel::Stage stage;
  stage.op = "JoinMoments";
  stage.attrs = {{"width", width}, {"epsilon", 1e-5}};
  stage.inputs = {moments};
  stage.outputs = {type_of(DataType::kF32, {rows, 1}), type_of(DataType::kF32, {rows, 1})};
  return stage;
}

}  // namespace

Problem moments_problem(const MomentsCase& c, DataType type) {
  Problem p;
  const DataType f32 = DataType::kF32;
  const auto vector = [&](DataType t) { return add_operand(p, t, {c.n}, true); };
  kernel::Stage root;
  root.op = "MatMul";
  root.inputs = {add_operand(p, type, {c.rows, c.k}, false), add_operand(p, type, {c.k, c.n}, true)};
  root.outputs = {type_of(type, {c.rows, c.n})};
  const int shift = vector(f32), sums = c.joined ? vector(f32) : -1;
  const int joined = c.joined ? add_operand(p, f32, {c.rows, c.k / c.joined, 2}, false) : -1;
  int residual = -1, parts = -1, gamma = -1, beta = -1;
  if (c.residual) {
    residual = add_operand(p, type, {c.rows, c.n}, false);
    parts = add_operand(p, f32, {c.rows, c.n / c.residual, 2}, false);
    gamma = vector(type);
    beta = vector(type);
  }
  int mean = -1, scale = -1, normal = -1;
  const auto join = [&](int moments, int64_t width) {
    mean = p.value_count();
    scale = mean + 1;
    p.stages.push_back(join_stage(moments, width, c.rows));
  };
  if (c.residual) {  // (x - mean) scale gamma + beta
    join(parts, c.residual);
    kernel::Stage stage;
    stage.op = std::string(kernel::kExprStage);
    stage.inputs = {residual, mean, scale, gamma, beta};
    stage.outputs = {type_of(type, {c.rows, c.n})};
    ExprBuilder b;
    int v = b.mul(b.sub(b.cast(b.arg(0, type), f32), b.arg(1, f32)), b.arg(2, f32));
    v = b.add(b.mul(b.cast(v, type), b.arg(3, type)), b.arg(4, type));
    stage.expr = b.finish({v}, 5);
    normal = p.value_count();
    p.stages.push_back(std::move(stage));
  }
  if (c.joined) join(joined, c.joined);
  const int sum = p.value_count();
  p.stages.push_back(std::move(root));
  kernel::Stage stage;
  stage.op = std::string(kernel::kExprStage);
  ExprBuilder b;
  const auto argument = [&](int value, DataType t) {
    stage.inputs.push_back(value);
    return b.arg(int(stage.inputs.size()) - 1, t);
  };
  int v = b.cast(argument(sum, type), f32);
  if (c.joined) {
    const int m = argument(mean, f32);
    v = b.mul(b.sub(v, b.mul(m, argument(sums, f32))), argument(scale, f32));
  }
  v = b.add(v, argument(shift, f32));
  if (c.gelu) v = activated(b, v, Activation::kGelu, f32);
  v = b.cast(v, type);
  if (normal >= 0) v = b.add(v, argument(normal, type));
  stage.outputs = {type_of(type, {c.rows, c.n})};
  stage.expr = b.finish({v}, int(stage.inputs.size()));
  const int result = p.value_count();
  p.stages.push_back(std::move(stage));
  p.results = {result};
  if (c.left == 0) return p;
  kernel::Stage partial;
  partial.op = "PartialMoments";
  partial.attrs = {{"width", c.left}};
  partial.inputs = {result};
  partial.outputs = {type_of(f32, {c.rows, c.n / c.left, 2})};
  p.results.push_back(p.value_count());
  p.stages.push_back(std::move(partial));
  return p;
}

Problem attention_problem(const AttentionCase& c, DataType type) {
  Problem problem;
  const int64_t kv = c.kv_heads ? c.kv_heads : c.heads;
  const auto dims = [&](int64_t heads, int64_t rows) {
    return c.flat ? std::vector<int64_t>{c.batch, rows, heads * c.size}
                  : std::vector<int64_t>{c.batch, heads, rows, c.size};
  };
  kernel::Stage root;
  root.op = "Attention";
  if (c.parts) {
    add_operand(problem, type, {c.batch, c.queries, 3 * c.heads * c.size}, false);
  } else {
    root.inputs = {add_operand(problem, type, dims(c.heads, c.queries), false),
                   add_operand(problem, type, dims(kv, c.keys), false),
                   add_operand(problem, type, dims(kv, c.keys), false)};
  }
  const int mask = c.mask.empty() ? -1 : add_operand(problem, c.mask_type, c.mask, false);
  if (c.parts) {
    const ir::TensorType part = type_of(type, dims(c.heads, c.queries));
    kernel::Stage split;
    split.op = "Split";
    split.attrs = {{"axis", int64_t(2)}, {"num_outputs", int64_t(3)}};
    split.inputs = {0, -1};
    split.outputs = {part, part, part};
    problem.stages.push_back(std::move(split));
    for (int i = 0; i < 3; ++i) root.inputs.push_back(int(problem.operands.size()) + i);
  }
  if (mask >= 0) root.inputs.push_back(mask);
  if (c.flat) {
    root.attrs["q_num_heads"] = c.heads;
    root.attrs["kv_num_heads"] = kv;
  }
  root.attrs["is_causal"] = int64_t(c.causal);
  root.attrs["scale"] = 1 / std::sqrt(double(c.size));
  root.attrs["left_window_size"] = int64_t(-1);
  root.attrs["right_window_size"] = int64_t(-1);
  root.attrs["softcap"] = 0.0;
  root.attrs["qk_matmul_output_mode"] = int64_t(0);
  finish(problem, std::move(root), dims(c.heads, c.queries), type, {}, {});
  return problem;
}

Problem conv_problem(const ConvCase& c, DataType type) {
  Problem problem;
  kernel::Stage root;
  root.op = "Conv";
  root.inputs = {add_operand(problem, type, {c.n, c.c, c.h, c.w}, false),
                 add_operand(problem, type, {c.k, c.c / c.groups, c.r, c.s}, true)};
  root.attrs["group"] = c.groups;
  root.attrs["strides"] = std::vector<int64_t>{c.stride, c.stride};
  root.attrs["dilations"] = std::vector<int64_t>{c.dilation, c.dilation};
  root.attrs["pads"] = std::vector<int64_t>{c.pad_y, c.pad_x, c.pad_y, c.pad_x};
  root.attrs["kernel_shape"] = std::vector<int64_t>{c.r, c.s};
  const auto size = [&](int64_t in, int64_t taps, int64_t pad) {
    return (in + 2 * pad - (taps - 1) * c.dilation - 1) / c.stride + 1;
  };
  const std::vector<int64_t> out = {c.n, c.k, size(c.h, c.r, c.pad_y), size(c.w, c.s, c.pad_x)};
  finish(problem, std::move(root), out, type, c.behind, {1, c.k, 1, 1});
  return problem;
}

Problem pool_problem(const std::string& op, const ConvCase& c, DataType type) {
  Problem problem = conv_problem(c, type);
  problem.operands.resize(1);
  problem.stages.resize(1);
  problem.stages[0].op = op;
  problem.stages[0].inputs = {0};
  problem.stages[0].attrs.erase("group");
  problem.results = {1};
  return problem;
}

Problem pooled_problem(const ConvCase& c, const PoolCase& pool, DataType type) {
  Problem problem = conv_problem(c, type);
  // A new operand moves the values behind the operands.
  const int count = int(problem.operands.size()), added = pool.scaled ? 1 : 0;
  for (kernel::Stage& stage : problem.stages)
    for (int& input : stage.inputs) input += input >= count ? added : 0;
  const int scale = pool.scaled ? add_operand(problem, type, {1, c.k, 1, 1}, true) : -1;
  kernel::Stage stage;
  stage.op = "MaxPool";
  stage.inputs = {problem.results[0] + added};
  stage.attrs["kernel_shape"] = std::vector<int64_t>{pool.taps_y, pool.taps_x};
  stage.attrs["strides"] = std::vector<int64_t>{pool.stride, pool.stride};
  stage.attrs["pads"] = std::vector<int64_t>{pool.top, pool.left, pool.bottom, pool.right};
  stage.attrs["ceil_mode"] = int64_t(pool.ceil);
  stage.attrs["storage_order"] = int64_t(0);
  auto window = kernel::window_of(stage.attrs, 2);
  const ir::TensorType in = problem.type_of(problem.results[0] + added);
  stage.outputs = {in};
  for (int d = 0; d < 2; ++d)
    stage.outputs[0].shape[size_t(2 + d)] = kernel::output_size(*window, d, in.shape[size_t(2 + d)]);
  problem.stages.push_back(stage);
  problem.results = {problem.value_count() - 1};
  if (!pool.scaled) return problem;
  kernel::ExprBuilder b;
  const int product = b.binary(kernel::ScalarOp::kMul, b.arg(0, type), b.arg(1, type));
  kernel::Stage behind;
  behind.op = std::string(kernel::kExprStage);
  behind.inputs = {problem.results[0], scale};
  behind.outputs = stage.outputs;
  behind.expr = b.finish({product}, 2);
  problem.stages.push_back(std::move(behind));
  problem.results = {problem.value_count() - 1};
  return problem;
}

Problem product_problem(const ProductCase& c, DataType type) {
  Problem problem;
  std::vector<int64_t> a = c.batch, b = c.right_batch, out = c.batch;
  a.insert(a.end(), {c.m, c.k});
  b.insert(b.end(), {c.k, c.n});
  out.insert(out.end(), {c.m, c.n});
  kernel::Stage root;
  root.op = "MatMul";
  root.inputs = {add_operand(problem, type, a, false),
                 add_operand(problem, type, b, c.constant_right)};
  finish(problem, std::move(root), out, type, c.behind, {c.n});
  return problem;
}

Problem gemm_problem(const GemmCase& c, DataType type) {
  Problem problem;
  kernel::Stage root;
  root.op = "Gemm";
  const std::vector<int64_t> a = c.trans_a ? std::vector<int64_t>{c.k, c.m} : std::vector<int64_t>{c.m, c.k};
  const std::vector<int64_t> b = c.trans_b ? std::vector<int64_t>{c.n, c.k} : std::vector<int64_t>{c.k, c.n};
  root.inputs = {add_operand(problem, type, a, false),
                 add_operand(problem, type, b, c.constant_right)};
  if (!c.c.empty()) root.inputs.push_back(add_operand(problem, type, c.c, true));
  root.attrs = {{"transA", int64_t(c.trans_a)}, {"transB", int64_t(c.trans_b)},
                {"alpha", c.alpha}, {"beta", c.beta}};
  finish(problem, std::move(root), {c.m, c.n}, type, {}, {});
  return problem;
}

Problem laid_out(const kernel::KernelDef& def, Problem problem, const kernel::DeviceInfo& device,
                 int choice) {
  const std::vector<kernel::LayoutChoice> layouts = def.layouts(problem, device);
  if (choice >= int(layouts.size())) return problem;
  const kernel::LayoutChoice& chosen = layouts[size_t(choice)];
  for (size_t i = 0; i < problem.operands.size(); ++i)
    problem.operands[i].type.layout = chosen.operands[i];
  for (size_t i = 0; i < problem.results.size(); ++i) {
    const auto [stage, output] = problem.stage_of(problem.results[i]);
    problem.stages[size_t(stage)].outputs[size_t(output)].layout = chosen.results[i];
  }
  return problem;
}

}  // namespace planish::cuda
