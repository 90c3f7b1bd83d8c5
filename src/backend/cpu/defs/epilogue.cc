#include "backend/cpu/defs/epilogue.h"

#include <algorithm>

#include "backend/cpu/defs/limits.h"
#include "backend/cpu/kernels/conv_problem.h"
#include "base/text.h"

namespace planish::cpu {
namespace {

using ir::Layout;
using kernel::Expr;
using kernel::ExprNode;
using kernel::Problem;
using kernel::ScalarOp;

std::vector<int64_t> dims_of(const Problem& problem, int value) {
  return ir::to_dims(problem.type_of(value).shape);
}

// Dims padded with leading ones to the result's rank.
std::vector<int64_t> aligned_dims(const Problem& problem, int value, size_t rank) {
  std::vector<int64_t> dims = dims_of(problem, value);
  dims.insert(dims.begin(), rank - dims.size(), 1);
  return dims;
}

// An operand that varies along the channel axis only.
bool is_per_channel(const Problem& problem, int value, const std::vector<int64_t>& out, int axis) {
  const std::vector<int64_t> dims = dims_of(problem, value);
  if (dims.size() > out.size()) return false;
  const int skip = int(out.size() - dims.size());
  for (int d = 0; d < int(dims.size()); ++d)
    if (dims[size_t(d)] != (d + skip == axis ? out[size_t(axis)] : 1)) return false;
  return axis - skip >= 0;
}

constexpr size_t kMaxEpilogueArgs = 60;
constexpr size_t kMaxAddends = 3;  // root, bias, residual

// Takes additions apart: the nodes whose sum `node` is, false when they are more than kMaxAddends.
bool addends(const Expr& expr, int node, std::vector<int>& out) {
  std::vector<int> open = {node};
  while (!open.empty()) {
    const int at = open.back();
    const ExprNode& n = expr.nodes[size_t(at)];
    open.pop_back();
    if (n.op == ScalarOp::kAdd) {
      open.push_back(n.b);
      open.push_back(n.a);
    } else {
      out.push_back(at);
    }
    if (out.size() + open.size() > kMaxAddends) return false;
  }
  return true;
}

// What node `at` of the epilogue adds to the root's result: nothing else than one bias per channel
// and one tensor of its shape. nullopt when it is another kind of node.
std::optional<SimpleEpilogue> sum_with_root(const Problem& problem,
                                            const kernel::RootAndEpilogue& view, int at,
                                            int channel_axis) {
  SimpleEpilogue simple;
  const Expr& expr = *view.epilogue;
  std::vector<int> sum;
  if (!addends(expr, at, sum)) return std::nullopt;
  const std::vector<int64_t> out = dims_of(problem, view.root_output);
  // Channels before the last axis stand in blocks; a constant keeps its row-major order and is no
  // residual that lies like the output.
  const bool blocked = channel_axis + 1 < int(out.size());
  bool has_root = false;
  for (int node : sum) {
    const ExprNode& n = expr.nodes[size_t(node)];
    if (n.op != ScalarOp::kArg || n.dtype != ir::DataType::kF32) return std::nullopt;
    const int value = view.epilogue_inputs[size_t(n.a)];
    if (value == view.root_output) {
      if (has_root) return std::nullopt;
      has_root = true;
    } else if (value >= int(problem.operands.size())) {
      return std::nullopt;
    } else if (simple.bias < 0 && problem.operands[size_t(value)].constant &&
               is_per_channel(problem, value, out, channel_axis)) {
      simple.bias = value;
    } else if (simple.residual < 0 && dims_of(problem, value) == out &&
               !(blocked && problem.operands[size_t(value)].constant)) {
      simple.residual = value;
    } else {
      return std::nullopt;
    }
  }
  if (!has_root) return std::nullopt;
  return simple;
}

// The largest sum inside an epilogue that takes the root's result whole, for the kernel to do in
// registers; the expression that is left reads it in the root's place.
struct Peeled {
  SimpleEpilogue simple;
  Expr rest;
};
std::optional<Peeled> peel_sum(const Problem& problem, const kernel::RootAndEpilogue& view,
                               int channel_axis, bool has_bias) {
  const Expr& expr = *view.epilogue;
  std::vector<int> uses(expr.nodes.size());
  int root_arg = -1;
  for (size_t i = 0; i < expr.nodes.size(); ++i) {
    const ExprNode& n = expr.nodes[i];
    if (n.op == ScalarOp::kArg) {
      if (view.epilogue_inputs[size_t(n.a)] == view.root_output) root_arg = int(i);
      continue;
    }
    for (int32_t operand : {n.a, n.b, n.c})
      if (operand >= 0) ++uses[size_t(operand)];
  }
  for (int32_t output : expr.outputs) ++uses[size_t(output)];
  std::optional<Peeled> found;
  for (int at = root_arg; at >= 0 && uses[size_t(at)] == 1;) {
    // The one reader of what was peeled so far.
    int reader = -1;
    for (size_t i = 0; i < expr.nodes.size() && reader < 0; ++i)
      if (expr.nodes[i].op == ScalarOp::kAdd && (expr.nodes[i].a == at || expr.nodes[i].b == at))
        reader = int(i);
    if (reader < 0) break;
    auto simple = sum_with_root(problem, view, reader, channel_axis);
    if (!simple || (has_bias && simple->bias >= 0)) break;
    found = Peeled{*simple, expr};
    found->rest.nodes[size_t(reader)] = expr.nodes[size_t(root_arg)];
    at = reader;
  }
  if (found) found->rest = kernel::simplified(found->rest);
  return found;
}

}  // namespace

std::optional<SimpleEpilogue> simple_epilogue(const Problem& problem,
                                              const kernel::RootAndEpilogue& view,
                                              int channel_axis) {
  if (!view.epilogue) return SimpleEpilogue{};
  const Expr& expr = *view.epilogue;
  if (expr.outputs.size() != 1) return std::nullopt;
  int at = expr.outputs[0];
  const auto immediate = [&](int node) {
    const ExprNode& n = expr.nodes[size_t(node)];
    return n.op == ScalarOp::kImm ? std::optional<double>(n.imm) : std::nullopt;
  };
  // Clamps, outermost first: min(max(x, lo), hi) and the like.
  SimpleEpilogue clamps;
  for (;;) {
    const ExprNode& n = expr.nodes[size_t(at)];
    if (n.op != ScalarOp::kMax && n.op != ScalarOp::kMin) break;
    int value = n.a;
    auto bound = immediate(n.b);
    if (!bound) {
      bound = immediate(n.a);
      value = n.b;
    }
    if (!bound) return std::nullopt;
    // Inner bounds are clamped by the outer ones already found.
    const float b = std::clamp(float(*bound), clamps.lo, clamps.hi);
    if (n.op == ScalarOp::kMax) clamps.lo = b;
    else clamps.hi = b;
    at = value;
  }
  auto simple = sum_with_root(problem, view, at, channel_axis);
  if (simple) {
    simple->lo = clamps.lo;
    simple->hi = clamps.hi;
  }
  return simple;
}

PointwiseShape pointwise_shape(const Problem& problem, std::span<const int> values,
                               const std::vector<int64_t>& out, bool blocked, int width) {
  PointwiseShape shape;
  shape.sizes = out;
  if (blocked) {
    shape.sizes[1] = ceil_div(out[1], width);
    shape.sizes.push_back(width);
  }
  for (int value : values) {
    const std::vector<int64_t> dims = aligned_dims(problem, value, out.size());
    // A stage's own result is laid out like the region's.
    const bool arg_blocked = value < int(problem.operands.size())
                                 ? problem.type_of(value).layout.block_dim == 1
                                 : blocked;
    std::vector<int64_t> physical = dims;
    if (arg_blocked) {
      physical[1] = ceil_div(dims[1], width);
      physical.push_back(width);
    }
    const std::vector<int64_t> strides = ir::strides_of(physical);
    std::vector<int64_t> steps;
    for (size_t d = 0; d < out.size(); ++d) {
      const bool moves = dims[d] == out[d] && dims[d] != 1;
      int64_t step = moves ? strides[d] : 0;
      if (blocked && d == 1 && !arg_blocked) step *= width;
      steps.push_back(step);
    }
    if (blocked) {
      const bool moves = dims[1] == out[1] && out[1] != 1;
      steps.push_back(arg_blocked ? 1 : moves ? strides[1] : 0);
    }
    shape.arg_steps.push_back(std::move(steps));
  }
  return shape;
}

std::optional<std::vector<Layout>> blocked_operands(const Problem& problem,
                                                    std::span<const int> values,
                                                    const std::vector<int64_t>& out, int width) {
  std::vector<Layout> layouts(problem.operands.size());
  for (int value : values) {
    if (value >= int(problem.operands.size())) continue;
    const ir::TensorType& type = problem.type_of(value);
    if (type.rank() > int(out.size())) return std::nullopt;
    const std::vector<int64_t> dims = aligned_dims(problem, value, out.size());
    // A residual of one channel is blocked like the output, or it could not be read beside it.
    const bool varies = dims[1] == out[1] && (out[1] != 1 || dims == out);
    if (varies && !problem.operands[size_t(value)].constant && type.rank() == int(out.size())) {
      if (type.dtype != ir::DataType::kF32) return std::nullopt;
      layouts[size_t(value)] = Layout::blocked(1, width);
    } else if (varies && out[1] % width) {
      return std::nullopt;  // a row-major operand has no padding lanes to read
    }
  }
  return layouts;
}

Status BoundEpilogue::supports(const Problem& problem, const kernel::RootAndEpilogue& view,
                               int channel_axis, int bias) {
  if (bias >= 0 && !problem.operands[size_t(bias)].constant)
    return unsupported("the bias is computed, expected a constant");
  const auto simple = simple_epilogue(problem, view, channel_axis);
  if (simple) {
    return simple->bias >= 0 && bias >= 0 ? unsupported("two biases") : ok_status();
  }
  if (problem.results.size() != 1) return unsupported("an epilogue of several results");
  if (view.epilogue_inputs.size() > kMaxEpilogueArgs)
    return unsupported(cat("an epilogue of more than ", kMaxEpilogueArgs, " operands"));
  if (problem.result_type(0).rank() + 1 > kMaxPointwiseAxes)
    return unsupported(cat("an epilogue of rank ", problem.result_type(0).rank()));
  std::vector<ir::DataType> types;
  for (int value : view.epilogue_inputs) {
    types.push_back(problem.type_of(value).dtype);
    if (value >= int(problem.operands.size()) && value != view.root_output)
      return unsupported("an epilogue that reads the root's other results");
    if (problem.type_of(value).rank() > problem.result_type(0).rank())
      return unsupported("an epilogue operand of more dims than the result");
  }
  const ir::DataType output = problem.result_type(0).dtype;
  if (output != ir::DataType::kF32)
    return unsupported(cat("the epilogue gives ", ir::name_of(output), ", expected f32"));
  const std::string_view why = pointwise_refusal(*view.epilogue, types, std::span(&output, 1));
  return why.empty() ? ok_status() : unsupported(std::string(why));
}

Result<BoundEpilogue> BoundEpilogue::bind(const kernel::BindArgs& args,
                                          const kernel::RootAndEpilogue& view, int channel_axis,
                                          int bias, bool blocked, int lanes) {
  const Problem& problem = *args.problem;
  BoundEpilogue out;
  out.root_output_ = view.root_output;
  const std::vector<int64_t> dims = dims_of(problem, view.root_output);
  if (auto simple = simple_epilogue(problem, view, channel_axis)) {
    out.simple_ = *simple;
    if (simple->bias >= 0) bias = simple->bias;
  } else {
    std::vector<ir::DataType> types;
    for (int value : view.epilogue_inputs) types.push_back(problem.type_of(value).dtype);
    out.post_inputs_ = view.epilogue_inputs;
    auto peeled = peel_sum(problem, view, channel_axis, bias >= 0);
    if (peeled) out.simple_ = peeled->simple;
    if (out.simple_.bias >= 0) bias = out.simple_.bias;
    out.post_ = std::make_shared<PointwiseProgram>(
        peeled ? std::move(peeled->rest) : *view.epilogue, std::move(types), std::vector<ir::DataType>{ir::DataType::kF32},
        pointwise_shape(problem, view.epilogue_inputs, dims, blocked, vector_width(best_isa())),
        best_isa());
  }
  if (bias >= 0) {
    const ir::Tensor& source = args.constants[size_t(bias)];
    const int64_t channels = dims[size_t(channel_axis)];
    PLANISH_RETURN_IF_ERROR(
        constant_floats(args.constants, bias, source.count() == 1 ? 1 : channels));
    out.bias_.assign(size_t(round_up(channels, lanes)), 0.0f);
    for (int64_t i = 0; i < channels; ++i)
      out.bias_[size_t(i)] = source.data_as<float>()[source.count() == 1 ? 0 : i];
  }
  return out;
}

Epilogue BoundEpilogue::for_run(const kernel::RunArgs& args, Call& call) const {
  Epilogue epilogue;
  if (!bias_.empty()) epilogue.bias = bias_.data();
  if (simple_.residual >= 0)
    epilogue.residual = static_cast<const float*>(args.operands[size_t(simple_.residual)].data);
  epilogue.lo = simple_.lo;
  epilogue.hi = simple_.hi;
  if (!post_) return epilogue;
  call.self = this;
  for (int value : post_inputs_)
    call.args.push_back(value == root_output_ ? nullptr : args.operands[size_t(value)].data);
  epilogue.post = run_post;
  epilogue.post_context = &call;
  return epilogue;
}

void BoundEpilogue::run_post(void* context, float* tile, int64_t offset, int64_t count) {
  const Call& call = *static_cast<const Call*>(context);
  const void* args[kMaxEpilogueArgs];
  for (size_t i = 0; i < call.args.size(); ++i)
    args[i] = call.args[i] ? call.args[i] : static_cast<const void*>(tile - offset);
  void* output = tile - offset;
  call.self->post_->run_range(std::span(args, call.args.size()), std::span(&output, 1), offset,
                              offset + count);
}

}  // namespace planish::cpu
