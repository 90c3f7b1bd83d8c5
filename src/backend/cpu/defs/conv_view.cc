#include "backend/cpu/defs/conv_view.h"

#include <algorithm>

#include "backend/cpu/defs/refusal.h"
#include "base/text.h"

namespace planish::cpu {
namespace {

using kernel::Expr;
using kernel::ExprNode;
using kernel::Problem;
using kernel::ScalarOp;

std::vector<int64_t> dims_of(const Problem& problem, int value) {
  return ir::to_dims(problem.type_of(value).shape);
}

// An operand that varies along the channel axis only.
bool is_per_channel(const Problem& problem, int value, const std::vector<int64_t>& out, int axis) {
  const std::vector<int64_t> dims = dims_of(problem, value);
  const int skip = int(out.size() - dims.size());
  if (dims.size() > out.size()) return false;
  for (int d = 0; d < int(dims.size()); ++d)
    if (dims[size_t(d)] != (d + skip == axis ? out[size_t(axis)] : 1)) return false;
  return axis - skip >= 0;
}

// Takes additions apart: the nodes whose sum `node` is.
void addends(const Expr& expr, int node, std::vector<int>& out) {
  const ExprNode& n = expr.nodes[size_t(node)];
  if (n.op == ScalarOp::kAdd) {
    addends(expr, n.a, out);
    addends(expr, n.b, out);
  } else {
    out.push_back(node);
  }
}

}  // namespace

std::optional<SimpleEpilogue> simple_epilogue(const Problem& problem,
                                              const kernel::RootAndEpilogue& view,
                                              int channel_axis) {
  SimpleEpilogue simple;
  if (!view.epilogue) return simple;
  const Expr& expr = *view.epilogue;
  if (expr.outputs.size() != 1) return std::nullopt;
  int at = expr.outputs[0];
  const auto immediate = [&](int node) {
    const ExprNode& n = expr.nodes[size_t(node)];
    return n.op == ScalarOp::kImm ? std::optional<double>(n.imm) : std::nullopt;
  };
  // Clamps, outermost first: min(max(x, lo), hi) and the like.
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
    const float b = std::clamp(float(*bound), simple.lo, simple.hi);
    if (n.op == ScalarOp::kMax) simple.lo = b;
    else simple.hi = b;
    at = value;
  }
  std::vector<int> sum;
  addends(expr, at, sum);
  const std::vector<int64_t> out = dims_of(problem, view.root_output);
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
    } else if (is_per_channel(problem, value, out, channel_axis)) {
      if (simple.bias >= 0) return std::nullopt;
      simple.bias = value;
    } else if (dims_of(problem, value) == out) {
      if (simple.residual >= 0) return std::nullopt;
      simple.residual = value;
    } else {
      return std::nullopt;
    }
  }
  if (!has_root) return std::nullopt;
  return simple;
}

Result<ConvView> conv_view(const Problem& problem) {
  if (problem.root_op() != "Conv") return other_family();
  const auto split = kernel::root_and_epilogue(problem);
  if (!split) return unsupported("more than one root with an epilogue");
  const kernel::Stage& root = *split->root;
  ConvView view;
  view.input = root.inputs[0];
  view.weights = root.inputs[1];
  view.bias = root.inputs.size() > 2 ? root.inputs[2] : -1;
  view.root_output = split->root_output;
  const ir::TensorType& x = problem.type_of(view.input);
  const ir::TensorType& w = problem.type_of(view.weights);
  if (x.dtype != ir::DataType::kF32) return unsupported(cat("input is ", name_of(x.dtype), ", expected f32"));
  if (x.rank() != 4 && x.rank() != 3)
    return unsupported(cat("input has rank ", x.rank(), ", expected 3 or 4"));
  const std::vector<int64_t> in = ir::to_dims(x.shape), filter = ir::to_dims(w.shape);
  const auto ints = [&](std::string_view key) {
    auto found = root.attrs.find(key);
    return found == root.attrs.end() ? std::vector<int64_t>{}
                                     : std::get<std::vector<int64_t>>(found->second);
  };
  const std::vector<int64_t> out = ir::to_dims(root.outputs[0].shape);
  const bool one_d = x.rank() == 3;
  const auto pick = [&](const std::vector<int64_t>& v, size_t i, int64_t fallback) {
    return i < v.size() ? v[i] : fallback;
  };
  const std::vector<int64_t> strides = ints("strides"), dilations = ints("dilations"),
                             pads = ints("pads");
  ConvProblem& c = view.conv;
  c.batch = in[0];
  c.in_channels = in[1];
  c.out_channels = filter[0];
  c.groups = std::get<int64_t>(root.attrs.find("group")->second);
  // A 1-D convolution is a 2-D one of height 1.
  const size_t w_at = one_d ? 0 : 1;
  c.in_height = one_d ? 1 : in[2];
  c.in_width = in[one_d ? 2 : 3];
  c.kernel_height = one_d ? 1 : filter[2];
  c.kernel_width = filter[one_d ? 2 : 3];
  c.stride_height = one_d ? 1 : pick(strides, 0, 1);
  c.stride_width = pick(strides, w_at, 1);
  c.dilation_height = one_d ? 1 : pick(dilations, 0, 1);
  c.dilation_width = pick(dilations, w_at, 1);
  const size_t spatial = one_d ? 1 : 2;
  c.pad_top = one_d ? 0 : pick(pads, 0, 0);
  c.pad_left = pick(pads, w_at, 0);
  c.pad_bottom = one_d ? 0 : pick(pads, spatial, 0);
  c.pad_right = pick(pads, spatial + w_at, 0);
  const auto auto_pad = root.attrs.find("auto_pad");
  if (auto_pad != root.attrs.end() && std::get<std::string>(auto_pad->second) != "NOTSET" &&
      std::get<std::string>(auto_pad->second) != "VALID") {
    // SAME: the padding follows from the output's size.
    const bool upper = std::get<std::string>(auto_pad->second) == "SAME_UPPER";
    const auto same = [&](int64_t size, int64_t k, int64_t s, int64_t d, int64_t result,
                          int64_t& before, int64_t& after) {
      const int64_t total = std::max<int64_t>(0, (result - 1) * s + (k - 1) * d + 1 - size);
      before = upper ? total / 2 : total - total / 2;
      after = total - before;
    };
    if (!one_d)
      same(c.in_height, c.kernel_height, c.stride_height, c.dilation_height, out[2], c.pad_top,
           c.pad_bottom);
    same(c.in_width, c.kernel_width, c.stride_width, c.dilation_width, out.back(), c.pad_left,
         c.pad_right);
  }
  if (view.bias >= 0 && !problem.operands[size_t(view.bias)].constant)
    return unsupported("the bias is computed, expected a constant");
  if (auto simple = simple_epilogue(problem, *split, 1)) {
    view.epilogue = *simple;
    if (view.bias >= 0 && view.epilogue.bias >= 0) return unsupported("two biases");
    if (view.epilogue.bias >= 0) view.bias = view.epilogue.bias;
    if (view.bias >= 0 && !problem.operands[size_t(view.bias)].constant)
      return unsupported("the bias is computed, expected a constant");
  } else {
    view.post = split->epilogue;
    view.post_inputs = split->epilogue_inputs;
  }
  return view;
}

}  // namespace planish::cpu
