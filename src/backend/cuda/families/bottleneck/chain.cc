#include "backend/cuda/families/bottleneck/chain.h"

#include <algorithm>

#include "backend/cuda/emit/emitted_kernel_def.h"
#include "base/text.h"
#include "kernel/window.h"

namespace planish::cuda::bottleneck {
namespace {

using kernel::Problem;
using kernel::ScalarOp;

// One convolution with the expression behind it.
struct Link {
  kernel::RootAndEpilogue parts;
  const kernel::Stage& conv() const { return *parts.root; }
};

int64_t group_of(const kernel::Stage& conv) {
  auto found = conv.attrs.find("group");
  return found == conv.attrs.end() ? 1 : std::get<int64_t>(found->second);
}

// The convolutions of a straight chain, each with at most one expression behind it.
Result<std::vector<Link>> links_of(const Problem& problem) {
  std::vector<Link> links;
  int value = int(problem.operands.size());
  int previous = -1;
  for (const kernel::Stage& stage : problem.stages) {
    if (stage.outputs.size() != 1) return other_family();
    if (stage.is_expr()) {
      if (links.empty() || links.back().parts.epilogue) return other_family();
      kernel::RootAndEpilogue& parts = links.back().parts;
      parts.epilogue = &*stage.expr;
      parts.epilogue_stage = &stage;
      parts.epilogue_inputs = stage.inputs;
    } else {
      if (stage.op != "Conv" || stage.inputs.size() < 2) return other_family();
      if (previous >= 0 && stage.inputs[0] != previous) return unsupported("convolutions that are no chain");
      Link& link = links.emplace_back();
      link.parts.root = &stage;
      link.parts.root_output = value;
    }
    previous = value++;
  }
  if (links.size() < 2 || links.size() > 3) return other_family();
  return links;
}

// An operand with one element per channel of the link's result, or one for all.
bool is_per_channel(const Problem& problem, int value, int64_t channels) {
  if (value < 0 || value >= int(problem.operands.size()) || !problem.operands[size_t(value)].constant) return false;
  const std::vector<int64_t> dims = ir::to_dims(problem.type_of(value).shape);
  const int64_t count = ir::element_count(std::span<const int64_t>(dims));
  if (count == 1) return true;
  return count == channels && dims.size() >= 3 && dims.size() <= 4 && dims[dims.size() - 3] == channels;
}

// Bias and clamp of an inner link.
Result<Inner> inner_of(const Problem& problem, const Link& link, int64_t channels) {
  Inner inner;
  inner.weights = link.conv().inputs[1];
  if (link.conv().inputs.size() > 2) inner.bias = link.conv().inputs[2];
  if (inner.bias >= 0 && !problem.operands[size_t(inner.bias)].constant) return unsupported("a computed bias");
  if (!link.parts.epilogue) return inner;
  const kernel::Expr& expr = *link.parts.epilogue;
  const auto node = [&](int i) -> const kernel::ExprNode& { return expr.nodes[size_t(i)]; };
  const auto refused = [] { return unsupported("an inner epilogue that is more than bias and clamp"); };
  if (expr.outputs.size() != 1) return refused();
  int at = expr.outputs[0];
  // From the result inwards: bounds found further in are clamped by those found before.
  while (node(at).op == ScalarOp::kMax || node(at).op == ScalarOp::kMin || node(at).op == ScalarOp::kCast) {
    if (node(at).op == ScalarOp::kCast) {
      if (!ir::is_float(node(at).dtype)) return refused();
      at = node(at).a;
      continue;
    }
    const bool second = node(node(at).b).op == ScalarOp::kImm;
    const int bound = second ? node(at).b : node(at).a;
    if (node(bound).op != ScalarOp::kImm) return refused();
    const double b = std::min(std::max(node(bound).imm, inner.low), inner.high);
    (node(at).op == ScalarOp::kMax ? inner.low : inner.high) = b;
    at = second ? node(at).a : node(at).b;
  }
  const auto value_of = [&](int i) {
    while (node(i).op == ScalarOp::kCast && ir::is_float(node(i).dtype)) i = node(i).a;
    return node(i).op == ScalarOp::kArg ? link.parts.epilogue_inputs[size_t(node(i).a)] : -1;
  };
  if (value_of(at) == link.parts.root_output) return inner;
  if (node(at).op != ScalarOp::kAdd || inner.bias >= 0) return refused();
  const int a = value_of(node(at).a), b = value_of(node(at).b);
  inner.bias = a == link.parts.root_output ? b : a;
  if ((a != link.parts.root_output && b != link.parts.root_output) || !is_per_channel(problem, inner.bias, channels))
    return refused();
  return inner;
}

struct Filter {
  std::vector<int64_t> dims;
  kernel::Window window;
};
Result<Filter> filter_of(const Problem& problem, const kernel::Stage& conv) {
  Filter out;
  out.dims = ir::to_dims(problem.type_of(conv.inputs[1]).shape);
  const std::vector<int64_t> in = ir::to_dims(problem.type_of(conv.inputs[0]).shape);
  if (out.dims.size() != 4 || in.size() != 4) return unsupported("a convolution of other than two dims");
  PLANISH_ASSIGN_OR_RETURN(out.window, kernel::window_of(conv.attrs, 2, std::span(out.dims).subspan(2)));
  kernel::resolve_pads(out.window, std::span(in).subspan(2));
  return out;
}

Status check_pointwise(const Problem& problem, const kernel::Stage& conv) {
  PLANISH_ASSIGN_OR_RETURN(Filter f, filter_of(problem, conv));
  const kernel::Window& w = f.window;
  const bool plain = w.volume() == 1 && w.strides == std::vector<int64_t>{1, 1} && group_of(conv) == 1 &&
                     w.pads_begin == std::vector<int64_t>{0, 0} && w.pads_end == std::vector<int64_t>{0, 0};
  return plain ? ok_status() : unsupported("a step that is no 1x1 convolution");
}

Status check_operands(const Problem& problem, const std::vector<Link>& links, ir::DataType type) {
  if (type != ir::DataType::kF16 && type != ir::DataType::kBF16)
    return unsupported(cat("operands are ", ir::name_of(type), ", expected f16 or bf16"));
  for (const Link& link : links) {
    const int w = link.conv().inputs[1];
    if (w < 0 || w >= int(problem.operands.size()) || !problem.operands[size_t(w)].constant)
      return unsupported("computed weights");
    for (const ir::TensorType* t : {&problem.type_of(w), &problem.type_of(link.conv().inputs[0]), &link.conv().outputs[0]})
      if (t->dtype != type) return unsupported(cat("a value inside is ", ir::name_of(t->dtype), ", expected ", ir::name_of(type)));
  }
  return ok_status();
}

}  // namespace

double Chain::flops() const {
  const double expanded = double(images * height * width) * double(mid_channels);
  const double out = double(images * out_height * out_width);
  return 2 * ((expands ? expanded * double(in_channels) : 0) + out * double(mid_channels * 9) + out * double(mid_channels * out_channels));
}

Result<Chain> chain_of(const Problem& problem) {
  if (problem.root_op() != "Conv") return other_family();
  PLANISH_ASSIGN_OR_RETURN(std::vector<Link> links, links_of(problem));
  const size_t at = links.size() - 2;  // the depthwise one
  const kernel::Stage& depthwise = links[at].conv();
  Chain c;
  c.input = links[0].conv().inputs[0];
  if (c.input >= int(problem.operands.size())) return unsupported("an input computed inside");
  c.type = problem.type_of(c.input).dtype;
  PLANISH_RETURN_IF_ERROR(check_operands(problem, links, c.type));
  PLANISH_ASSIGN_OR_RETURN(Filter filter, filter_of(problem, depthwise));
  const std::vector<int64_t> in = ir::to_dims(problem.type_of(depthwise.inputs[0]).shape);
  const std::vector<int64_t> out = ir::to_dims(depthwise.outputs[0].shape);
  const kernel::Window& w = filter.window;
  if (group_of(depthwise) != in[1] || filter.dims[0] != in[1]) return unsupported("no depthwise step");
  if (w.kernel != std::vector<int64_t>{3, 3} || w.dilations != std::vector<int64_t>{1, 1})
    return unsupported(cat("a depthwise window of ", w.kernel[0], " x ", w.kernel[1], ", expected 3 x 3 without dilation"));
  if (w.strides[0] != w.strides[1] || w.strides[0] > 2 || w.pads_begin[0] > 2 || w.pads_begin[1] > 2)
    return unsupported(cat("strides ", w.strides[0], " x ", w.strides[1], ", expected 1 x 1 or 2 x 2"));
  PLANISH_RETURN_IF_ERROR(check_pointwise(problem, links[at + 1].conv()));
  c.expands = at == 1;
  if (c.expands) PLANISH_RETURN_IF_ERROR(check_pointwise(problem, links[0].conv()));
  c.images = in[0];
  c.mid_channels = in[1];
  c.height = in[2];
  c.width = in[3];
  c.out_height = out[2];
  c.out_width = out[3];
  c.stride = w.strides[0];
  c.top = w.pads_begin[0];
  c.left = w.pads_begin[1];
  c.in_channels = ir::to_dims(problem.type_of(c.input).shape)[1];
  c.out_channels = ir::to_dims(links[at + 1].conv().outputs[0].shape)[1];
  if (c.in_channels % 8) return unsupported(cat(c.in_channels, " input channels, expected a multiple of 8"));
  if (c.images * c.height * c.width * std::max(c.in_channels, c.out_channels) > INT32_MAX)
    return unsupported("an input of more than 2^31 elements");
  if (c.images * c.out_height * c.out_width * c.mid_channels == 0) return unsupported("an empty result");
  if (c.expands) {
    PLANISH_ASSIGN_OR_RETURN(c.expand, inner_of(problem, links[0], c.mid_channels));
  }
  PLANISH_ASSIGN_OR_RETURN(c.depthwise, inner_of(problem, links[at], c.mid_channels));
  RootTerms terms;
  const kernel::Stage& project = links[at + 1].conv();
  c.project_weights = project.inputs[1];
  if (project.inputs.size() > 2 && project.inputs[2] >= 0) {
    terms.bias = project.inputs[2];
    terms.bias_dims = {c.out_channels, 1, 1};
  }
  const ContractionStages last = {&project, links[at + 1].parts.root_output, int(&project - problem.stages.data())};
  PLANISH_ASSIGN_OR_RETURN(c.epilogue, make_epilogue(problem, last, 1, terms));
  return c;
}

Result<Chain> chain_of_any_size(const Problem& problem) {
  PLANISH_ASSIGN_OR_RETURN(Problem plain, kernel::concrete(problem, [](std::string_view) { return 64; }));
  return chain_of(plain);
}

}  // namespace planish::cuda::bottleneck
