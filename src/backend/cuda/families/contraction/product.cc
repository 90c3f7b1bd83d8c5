#include "backend/cuda/families/contraction/product.h"

#include <algorithm>

#include "backend/cuda/emit/emitted_kernel_def.h"
#include "base/text.h"
#include "kernel/window.h"

namespace planish::cuda {
namespace {

using ir::DataType;
using ir::Layout;
using kernel::Problem;

int64_t count_of(std::span<const int64_t> dims) { return ir::element_count(dims); }

Status check_types(const Problem& problem, Product& product) {
  product.type = problem.type_of(product.left.value).dtype;
  const DataType right = problem.type_of(product.right.value).dtype;
  if (right != product.type)
    return unsupported(cat("operands are ", ir::name_of(product.type), " and ", ir::name_of(right),
                           ", expected one type"));
  if (product.type != DataType::kF32 && product.type != DataType::kF16 &&
      product.type != DataType::kBF16)
    return unsupported(cat("operands are ", ir::name_of(product.type), ", expected f32, f16 or bf16"));
  product.right_constant = problem.operands[size_t(product.right.value)].constant;
  return ok_status();
}

ConvGeometry geometry_of(const kernel::Window& w, const std::vector<int64_t>& in) {
  const bool flat = in.size() == 3;
  const size_t x = flat ? 0 : 1;
  ConvGeometry g;
  g.images = in[0];
  g.channels = in[1];
  g.width = in[2 + x];
  g.taps_x = w.kernel[x];
  g.stride_x = w.strides[x];
  g.dilation_x = w.dilations[x];
  g.left = w.pads_begin[x];
  g.right = w.pads_end[x];
  if (!flat) {
    g.height = in[2];
    g.taps_y = w.kernel[0];
    g.stride_y = w.strides[0];
    g.dilation_y = w.dilations[0];
    g.top = w.pads_begin[0];
    g.bottom = w.pads_end[0];
  }
  return g;
}

Result<Product> conv_product(const Problem& problem, const ContractionStages& parts) {
  const kernel::Stage& root = *parts.root;
  Product p;
  p.is_conv = true;
  p.left.value = root.inputs[0];
  p.right.value = root.inputs[1];
  PLANISH_RETURN_IF_ERROR(check_types(problem, p));
  const std::vector<int64_t> in = ir::to_dims(problem.type_of(p.left.value).shape);
  const std::vector<int64_t> filter = ir::to_dims(problem.type_of(p.right.value).shape);
  const std::vector<int64_t> out = ir::to_dims(root.outputs[0].shape);
  if (in.size() != 3 && in.size() != 4)
    return unsupported(cat("input has rank ", in.size(), ", expected 3 or 4"));
  PLANISH_ASSIGN_OR_RETURN(kernel::Window window, kernel::window_of(root.attrs, int(in.size()) - 2,
                                                                    std::span(filter).subspan(2)));
  kernel::resolve_pads(window, std::span(in).subspan(2));
  p.conv = geometry_of(window, in);
  p.conv.out_height = in.size() == 3 ? 1 : out[2];
  p.conv.out_width = out.back();
  auto group = root.attrs.find("group");
  p.batches = group == root.attrs.end() ? 1 : std::get<int64_t>(group->second);
  p.batch_dims = {p.batches};
  // Filters computed at run time come channels last: [filter][tap][depth], a matrix per group.
  p.right.matrices = p.batches;
  p.right.steps = {p.batches > 1 ? 1 : 0};
  p.rows = out[0] * p.conv.out_height * p.conv.out_width;
  p.channels = out[1] / p.batches;
  p.depth = in[1] / p.batches;
  RootTerms terms;
  if (root.inputs.size() > 2 && root.inputs[2] >= 0) {
    terms.bias = root.inputs[2];
    terms.bias_dims.assign(in.size() - 1, 1);
    terms.bias_dims[0] = out[1];
  }
  PLANISH_ASSIGN_OR_RETURN(p.epilogue, make_epilogue(problem, parts, 1, terms));
  return p;
}

template <class T>
T attribute(const kernel::Stage& stage, std::string_view key, T fallback) {
  auto found = stage.attrs.find(key);
  return found == stage.attrs.end() ? fallback : std::get<T>(found->second);
}

Result<Product> gemm_product(const Problem& problem, const ContractionStages& parts) {
  const kernel::Stage& root = *parts.root;
  Product p;
  p.left.value = root.inputs[0];
  p.right.value = root.inputs[1];
  PLANISH_RETURN_IF_ERROR(check_types(problem, p));
  p.left.depth_inner = attribute<int64_t>(root, "transA", 0) == 0;
  p.right.depth_inner = attribute<int64_t>(root, "transB", 0) != 0;
  const std::vector<int64_t> a = ir::to_dims(problem.type_of(p.left.value).shape);
  const std::vector<int64_t> out = ir::to_dims(root.outputs[0].shape);
  p.rows = out[0];
  p.channels = out[1];
  p.depth = a[p.left.depth_inner ? 1 : 0];
  p.batch_dims = {1};
  p.left.steps = p.right.steps = {0};
  RootTerms terms;
  terms.scale = attribute<double>(root, "alpha", 1.0);
  terms.bias_scale = attribute<double>(root, "beta", 1.0);
  if (root.inputs.size() > 2 && root.inputs[2] >= 0 && terms.bias_scale != 0) {
    terms.bias = root.inputs[2];
    terms.bias_dims = ir::to_dims(problem.type_of(terms.bias).shape);
  }
  PLANISH_ASSIGN_OR_RETURN(p.epilogue, make_epilogue(problem, parts, 1, terms));
  return p;
}

// Which matrix of an operand with these leading dims each output batch reads.
Status set_batches(MatrixOperand& operand, std::span<const int64_t> dims,
                   std::span<const int64_t> batch_dims) {
  operand.matrices = count_of(dims);
  operand.steps.assign(batch_dims.size(), 0);
  int64_t step = 1;
  for (size_t i = dims.size(); i-- > 0;) {
    const size_t at = batch_dims.size() - dims.size() + i;
    if (dims[i] != 1 && dims[i] != batch_dims[at])
      return unsupported("leading dims that do not broadcast");
    operand.steps[at] = dims[i] == 1 ? 0 : step;
    step *= dims[i];
  }
  return ok_status();
}

Result<Product> matmul_product(const Problem& problem, const ContractionStages& parts) {
  const kernel::Stage& root = *parts.root;
  Product p;
  p.left.value = root.inputs[0];
  p.right.value = root.inputs[1];
  PLANISH_RETURN_IF_ERROR(check_types(problem, p));
  std::vector<int64_t> a = ir::to_dims(problem.type_of(p.left.value).shape);
  std::vector<int64_t> b = ir::to_dims(problem.type_of(p.right.value).shape);
  const std::vector<int64_t> out = ir::to_dims(root.outputs[0].shape);
  if (a.size() < 2 || b.size() < 2)
    return unsupported(cat("operands of rank ", a.size(), " and ", b.size(), ", expected at least 2"));
  p.right.depth_inner = false;
  p.depth = a.back();
  p.rows = a[a.size() - 2];
  p.channels = b.back();
  const std::span<const int64_t> a_lead = std::span(a).first(a.size() - 2);
  const std::span<const int64_t> b_lead = std::span(b).first(b.size() - 2);
  p.batch_dims.assign(out.begin(), out.end() - 2);
  p.batches = count_of(p.batch_dims);
  if (count_of(b_lead) == 1 && count_of(a_lead) == p.batches) {  // one matrix for all rows
    p.rows *= p.batches;
    p.batches = 1;
    p.batch_dims = {1};
    p.left.steps = p.right.steps = {0};
  } else {
    PLANISH_RETURN_IF_ERROR(set_batches(p.left, a_lead, p.batch_dims));
    PLANISH_RETURN_IF_ERROR(set_batches(p.right, b_lead, p.batch_dims));
  }
  PLANISH_ASSIGN_OR_RETURN(p.epilogue, make_epilogue(problem, parts, int(out.size()) - 1, {}));
  return p;
}

}  // namespace

bool is_product(const kernel::Stage& stage) {
  return stage.op == "Conv" || stage.op == "MatMul" || stage.op == "Gemm";
}

Result<Product> product_of(const Problem& problem) {
  if (std::none_of(problem.stages.begin(), problem.stages.end(), is_product)) return other_family();
  const auto parts = contraction_stages(problem);
  if (!parts) return unsupported("more than one root with an epilogue");
  const std::string_view op = parts->root->op;
  PLANISH_ASSIGN_OR_RETURN(Product p, op == "Conv"   ? conv_product(problem, *parts)
                                      : op == "Gemm" ? gemm_product(problem, *parts)
                                                     : matmul_product(problem, *parts));
  if (p.rows * p.batches > INT32_MAX || p.epilogue.channels > INT32_MAX)
    return unsupported(cat(p.rows, " rows, expected fewer than 2^31"));
  if (p.rows * p.batches * p.epilogue.channels == 0 || p.depth * p.taps() == 0)
    return unsupported("an empty product");
  return p;
}

Status without_moments(const Product& product) {
  return product.epilogue.has_moments() ? unsupported("moments of rows") : ok_status();
}

RootPlace second_root(const Problem& problem) {
  int value = int(problem.operands.size());
  bool seen = false;
  for (size_t i = 0; i < problem.stages.size(); ++i) {
    if (!problem.stages[i].is_expr()) {
      if (seen) return {i, value};
      seen = true;
    }
    value += int(problem.stages[i].outputs.size());
  }
  return {};
}

Problem stages_before(const Problem& problem, size_t stage, int value) {
  Problem head;
  head.operands = problem.operands;
  head.stages.assign(problem.stages.begin(), problem.stages.begin() + ptrdiff_t(stage));
  head.results = {value};
  return head;
}

Result<Problem> stages_from(const Problem& problem, size_t first, int first_value, int mid, int result) {
  Problem tail;
  tail.operands = problem.operands;
  kernel::Operand operand;
  operand.type = problem.type_of(mid);
  tail.operands.push_back(operand);
  const int operands = int(problem.operands.size());
  const auto moved = [&](int value) { return value < operands ? value : value - first_value + operands + 1; };
  for (size_t i = first; i < problem.stages.size(); ++i) {
    kernel::Stage stage = problem.stages[i];
    for (int& value : stage.inputs) {
      if (value >= operands && value < first_value && value != mid)
        return unsupported("a later product that reads more of an earlier one than its result");
      value = value == mid ? operands : moved(value);
    }
    tail.stages.push_back(std::move(stage));
  }
  tail.results = {moved(result)};
  return tail;
}

Result<Product> product_of_any_size(const Problem& problem) {
  PLANISH_ASSIGN_OR_RETURN(Problem plain,
                           kernel::concrete(problem, [](std::string_view) { return 64; }));
  return product_of(plain);
}

int64_t right_element(const Product& p, int64_t batch, int64_t channel, int64_t tap, int64_t depth) {
  if (p.is_conv) return ((batch * p.channels + channel) * p.depth + depth) * p.taps() + tap;
  int64_t matrix = 0, rest = batch;
  for (size_t d = p.batch_dims.size(); d-- > 0;) {
    if (d < p.right.steps.size()) matrix += rest % p.batch_dims[d] * p.right.steps[d];
    rest /= p.batch_dims[d];
  }
  const int64_t in = p.right.depth_inner ? channel * p.depth + depth : depth * p.channels + channel;
  return matrix * p.channels * p.depth + in;
}

std::string batch_index_text(std::string_view name, const MatrixOperand& operand,
                             const std::vector<int64_t>& dims) {
  std::string sum;
  int64_t below = 1;
  for (size_t d = dims.size(); d-- > 0;) {
    if (d < operand.steps.size() && operand.steps[d])
      sum += cat(sum.empty() ? "" : " + ", "batch / ", below, " % ", dims[d], " * ", operand.steps[d]);
    below *= dims[d];
  }
  return cat("DEV int ", name, "(int batch) { return ", sum.empty() ? "0" : sum, "; }\n");
}

std::string row_base_text(const Product& p, std::string_view batch) {
  return p.is_conv || p.batches == 1 ? "0" : cat(batch, " * kRows");
}
std::string channel_base_text(const Product& p, std::string_view batch) {
  return p.is_conv && p.batches > 1 ? cat(batch, " * kChannels") : "0";
}

void replace_all(std::string& text, std::string_view what, std::string_view with) {
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size()))
    text.replace(at, what.size(), with);
}

bool takes_tf32(const kernel::DeviceInfo& device) {
  auto found = device.properties.find("tf32");
  return found != device.properties.end() && found->second == "1";
}

kernel::LayoutChoice product_layouts(const Problem& problem, const Product& product) {
  kernel::LayoutChoice choice;
  choice.operands.resize(problem.operands.size());
  choice.results.resize(problem.results.size());
  if (!product.is_conv) return choice;
  const int rank = problem.result_type(0).rank();
  const Layout last = Layout::channels_last(rank);
  for (size_t i = 0; i < problem.operands.size(); ++i)
    if (!problem.operands[i].constant && problem.operands[i].present &&
        problem.operands[i].type.rank() == rank)
      choice.operands[i] = last;
  for (Layout& layout : choice.results) layout = last;
  return choice;
}

}  // namespace planish::cuda
