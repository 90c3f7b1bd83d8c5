// Einsum: sums of products named by letters. The equation is parsed once for shapes and once for
// evaluation; operands are contracted pairwise from left to right, each pair as a batched matrix
// product over the letters that nobody needs any more.
#include <algorithm>
#include <map>

#include "base/text.h"
#include "ops/composer.h"
#include "ops/contraction.h"
#include "ops/dims.h"
#include "ops/movement.h"
#include "ops/numeric.h"

namespace planish::ops {
namespace {

using opdef::EvalContext;

// Labels: letters as themselves; ellipsis dims as 256 + their distance from the right.
constexpr int kEllipsis = 256;

struct Equation {
  std::vector<std::vector<int>> inputs;
  std::vector<int> output;
};

Status bad_equation(std::string_view equation, std::string why) {
  return bad_attr("equation", cat("'", equation, "' (", why, ")"),
                  "letters and '...' per input, separated by commas, then '->' and the output's");
}

// One term; `ellipsis_rank` dims stand for "...", -1 when it may not appear.
Result<std::vector<int>> parse_term(std::string_view equation, std::string_view term,
                                    int ellipsis_rank) {
  std::vector<int> labels;
  bool seen = false;
  for (size_t i = 0; i < term.size(); ++i) {
    char c = term[i];
    if (c == ' ') continue;
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
      labels.push_back(c);
    } else if (term.substr(i, 3) == "..." && !seen && ellipsis_rank >= 0) {
      for (int d = ellipsis_rank; d-- > 0;) labels.push_back(kEllipsis + d);
      seen = true;
      i += 2;
    } else {
      return bad_equation(equation, cat("unexpected '", c, "'"));
    }
  }
  return labels;
}

Result<Equation> parse(const std::string& equation, std::span<const int> ranks) {
  Equation out;
  size_t arrow = equation.find("->");
  std::string left = equation.substr(0, arrow);
  std::vector<std::string> terms = split(left, ',');
  if (terms.size() != ranks.size())
    return bad_equation(equation, cat(terms.size(), " terms for ", ranks.size(), " inputs"));
  int widest = 0;
  bool any_ellipsis = false;
  std::map<int, int> count;
  for (size_t i = 0; i < terms.size(); ++i) {
    PLANISH_ASSIGN_OR_RETURN(std::vector<int> letters, parse_term(equation, terms[i], 0));
    bool ellipsis = terms[i].find("...") != std::string::npos;
    int extra = ranks[i] - int(letters.size());
    if (extra < 0 || (!ellipsis && extra != 0))
      return bad_equation(equation, cat("term ", i, " does not fit rank ", ranks[i]));
    PLANISH_ASSIGN_OR_RETURN(letters, parse_term(equation, terms[i], extra));
    if (ellipsis) widest = std::max(widest, extra);
    any_ellipsis |= ellipsis;
    for (int label : letters) ++count[label];
    out.inputs.push_back(std::move(letters));
  }
  if (arrow == std::string::npos) {
    for (int d = widest; d-- > 0;) out.output.push_back(kEllipsis + d);
    for (auto [label, times] : count)
      if (label < kEllipsis && times == 1) out.output.push_back(label);
    return out;
  }
  PLANISH_ASSIGN_OR_RETURN(
      out.output, parse_term(equation, equation.substr(arrow + 2), any_ellipsis ? widest : -1));
  for (size_t i = 0; i < out.output.size(); ++i) {
    int label = out.output[i];
    if (!count.count(label)) return bad_equation(equation, "an output letter is in no input");
    if (std::find(out.output.begin(), out.output.begin() + int(i), label) !=
        out.output.begin() + int(i))
      return bad_equation(equation, "an output letter is there twice");
  }
  return out;
}

Status infer_einsum(InferContext& ctx) {
  const std::string& text = ctx.attr_string("equation");
  std::vector<int> ranks;
  for (int i = 0; i < ctx.input_count(); ++i) ranks.push_back(ctx.rank(i));
  PLANISH_ASSIGN_OR_RETURN(Equation equation, parse(text, ranks));
  std::map<int, Shape> dims;  // one dim per label
  for (int i = 0; i < ctx.input_count(); ++i)
    for (int d = 0; d < ctx.rank(i); ++d) {
      Shape one = {ctx.shape(i)[size_t(d)]};
      auto [it, fresh] = dims.emplace(equation.inputs[size_t(i)][size_t(d)], one);
      if (fresh) continue;
      Result<Shape> both = broadcast(it->second, one);
      if (!both.ok())
        return both.status().at(cat("attribute 'equation' ('", text, "'): input ", i, ", dim ", d));
      it->second = *both;
    }
  Shape out;
  for (int label : equation.output) out.push_back(dims.at(label)[0]);
  return set_sized_output(ctx, 0, ctx.dtype(0), std::move(out));
}

// A tensor whose axes carry distinct labels.
template <class T>
struct Factor {
  std::vector<int> labels;
  std::vector<int64_t> dims;
  std::vector<T> values;

  int axis_of(int label) const {
    auto it = std::find(labels.begin(), labels.end(), label);
    return it == labels.end() ? -1 : int(it - labels.begin());
  }
};

using Sizes = std::map<int, int64_t>;

// The values read with the given strides in the given order of dims.
template <class T>
std::vector<T> gathered(const std::vector<T>& values, std::span<const int64_t> dims,
                        std::span<const int64_t> strides) {
  std::vector<T> out;
  out.reserve(size_t(ir::element_count(dims)));
  for_each_index(dims, [&](std::span<const int64_t> index) {
    int64_t at = 0;
    for (size_t i = 0; i < index.size(); ++i) at += index[i] * strides[i];
    out.push_back(values[size_t(at)]);
  });
  return out;
}

// Repeated labels become their diagonal; dims of 1 that others stretch are dropped.
template <class T>
Factor<T> factor_of(const std::vector<T>& values, const std::vector<int>& labels,
                    const std::vector<int64_t>& dims, const Sizes& sizes) {
  Factor<T> out;
  std::vector<int64_t> steps, strides = ir::strides_of(dims);
  for (size_t i = 0; i < labels.size(); ++i) {
    int64_t size = sizes.at(labels[i]);
    if (dims[i] == 1 && size != 1) continue;
    int axis = out.axis_of(labels[i]);
    if (axis >= 0) {
      steps[size_t(axis)] += strides[i];
      continue;
    }
    out.labels.push_back(labels[i]);
    out.dims.push_back(dims[i]);
    steps.push_back(strides[i]);
  }
  out.values = gathered(values, out.dims, steps);
  return out;
}

// The same factor with its axes in the order of `labels`, all of which it has.
template <class T>
Factor<T> permuted(const Factor<T>& f, const std::vector<int>& labels) {
  Factor<T> out;
  std::vector<int64_t> steps, strides = ir::strides_of(f.dims);
  for (int label : labels) {
    size_t axis = size_t(f.axis_of(label));
    out.labels.push_back(label);
    out.dims.push_back(f.dims[axis]);
    steps.push_back(strides[axis]);
  }
  out.values = gathered(f.values, out.dims, steps);
  return out;
}

// Sums out every label that is not needed.
template <class T, class Needed>
Factor<T> reduced(const Factor<T>& f, Needed needed) {
  std::vector<int> kept, summed;
  for (int label : f.labels) (needed(label) ? kept : summed).push_back(label);
  if (summed.empty()) return f;
  std::vector<int> order = kept;
  order.insert(order.end(), summed.begin(), summed.end());
  Factor<T> sorted = permuted(f, order), out;
  out.labels = kept;
  out.dims.assign(sorted.dims.begin(), sorted.dims.begin() + int64_t(kept.size()));
  int64_t count = ir::element_count(out.dims);
  int64_t width = product(sorted.dims, int(kept.size()), int(sorted.dims.size()));
  out.values.assign(size_t(count), T(0));
  for (int64_t i = 0; i < count; ++i)
    for (int64_t j = 0; j < width; ++j)
      out.values[size_t(i)] = wrapping_add(out.values[size_t(i)], sorted.values[size_t(i * width + j)]);
  return out;
}

// a times b, summed over the shared labels that are not needed.
template <class T, class Needed>
Result<Factor<T>> contracted(const Factor<T>& a, const Factor<T>& b, Needed needed) {
  std::vector<int> batch, rows, columns, inner;
  for (int label : a.labels) {
    if (b.axis_of(label) < 0) rows.push_back(label);
    else (needed(label) ? batch : inner).push_back(label);
  }
  for (int label : b.labels)
    if (a.axis_of(label) < 0) columns.push_back(label);
  auto joined = [](std::initializer_list<const std::vector<int>*> lists) {
    std::vector<int> out;
    for (const auto* list : lists) out.insert(out.end(), list->begin(), list->end());
    return out;
  };
  Factor<T> left = permuted(a, joined({&batch, &rows, &inner}));
  Factor<T> right = permuted(b, joined({&batch, &inner, &columns}));
  int nb = int(batch.size()), nr = int(rows.size()), ni = int(inner.size());
  int64_t batches = product(left.dims, 0, nb), m = product(left.dims, nb, nb + nr);
  int64_t k = product(left.dims, nb + nr, int(left.dims.size()));
  int64_t n = product(right.dims, nb + ni, int(right.dims.size()));
  Factor<T> out;
  out.labels = joined({&batch, &rows, &columns});
  out.dims.assign(left.dims.begin(), left.dims.begin() + nb + nr);
  out.dims.insert(out.dims.end(), right.dims.begin() + nb + ni, right.dims.end());
  PLANISH_RETURN_IF_ERROR(check_size(out.dims, "an intermediate product"));
  out.values.assign(size_t(ir::element_count(out.dims)), T(0));
  std::vector<T> panels;
  for (int64_t i = 0; i < batches; ++i) {
    pack_panels(right.values.data() + i * k * n, k, n, n, int64_t(1), panels);
    multiply_panels(left.values.data() + i * m * k, k, panels.data(), m, n, k,
                    out.values.data() + i * m * n, n);
  }
  return out;
}

template <class T>
Result<std::vector<T>> einsum(const Equation& equation, std::vector<std::vector<T>> values,
                              const std::vector<std::vector<int64_t>>& dims) {
  Sizes sizes;
  for (size_t i = 0; i < dims.size(); ++i)
    for (size_t d = 0; d < dims[i].size(); ++d) {
      int64_t& size = sizes.emplace(equation.inputs[i][d], 1).first->second;
      if (dims[i][d] != 1) size = dims[i][d];
    }
  std::vector<Factor<T>> factors;
  for (size_t i = 0; i < values.size(); ++i)
    factors.push_back(factor_of(values[i], equation.inputs[i], dims[i], sizes));
  // Whether the output or a factor from `first` on has the label.
  auto needed_after = [&](size_t first) {
    return [&, first](int label) {
      for (size_t i = first; i < factors.size(); ++i)
        if (factors[i].axis_of(label) >= 0) return true;
      return std::find(equation.output.begin(), equation.output.end(), label) !=
             equation.output.end();
    };
  };
  Factor<T> result = reduced(factors[0], needed_after(1));
  for (size_t i = 1; i < factors.size(); ++i) {
    Factor<T> next = reduced(factors[i], [&](int label) {
      return result.axis_of(label) >= 0 || needed_after(i + 1)(label);
    });
    PLANISH_ASSIGN_OR_RETURN(Factor<T> both, contracted(result, next, needed_after(i + 1)));
    result = reduced(both, needed_after(i + 1));
  }
  return permuted(result, equation.output).values;
}

Status evaluate_einsum(EvalContext& ctx) {
  std::vector<int> ranks;
  std::vector<std::vector<int64_t>> dims;
  for (int i = 0; i < ctx.input_count(); ++i) {
    ranks.push_back(ctx.input(i).rank());
    dims.push_back(ctx.input(i).dims());
  }
  PLANISH_ASSIGN_OR_RETURN(Equation equation, parse(ctx.attr_string("equation"), ranks));
  if (ir::is_float(ctx.input(0).dtype())) {
    std::vector<std::vector<double>> values;
    for (int i = 0; i < ctx.input_count(); ++i) values.push_back(ctx.input(i).f64_values());
    PLANISH_ASSIGN_OR_RETURN(std::vector<double> y, einsum(equation, std::move(values), dims));
    ctx.output(0).assign_f64(y);
    return ok_status();
  }
  std::vector<std::vector<uint64_t>> values;
  for (int i = 0; i < ctx.input_count(); ++i) {
    std::vector<int64_t> x = ctx.input(i).i64_values();
    values.emplace_back(x.begin(), x.end());
  }
  PLANISH_ASSIGN_OR_RETURN(std::vector<uint64_t> y, einsum(equation, std::move(values), dims));
  assign(ctx.output(0), y);
  return ok_status();
}

// Products per output element: the sizes of the letters that are summed over.
int64_t accumulation(const ir::Node& node) {
  std::vector<int> ranks;
  for (const ir::Value* v : node.inputs) ranks.push_back(v->type.rank());
  Result<Equation> equation = parse(node.attr_string("equation"), ranks);
  if (!equation.ok()) return 1;
  std::map<int, int64_t> summed;
  for (size_t i = 0; i < node.inputs.size(); ++i)
    for (size_t d = 0; d < equation->inputs[i].size(); ++d) {
      int label = equation->inputs[i][d];
      int64_t& size = summed.emplace(label, 1).first->second;
      size = std::max(size, node.inputs[i]->type.shape[d].constant().value_or(1));
    }
  for (int label : equation->output) summed.erase(label);
  int64_t out = 1;
  for (auto [label, size] : summed)
    if (__builtin_mul_overflow(out, size, &out)) return INT64_MAX;
  return out;
}

}  // namespace

void register_einsum(opdef::OpRegistry& registry) {
  opdef::OpDef def;
  def.name = "Einsum";
  def.doc = "Sum of products over the letters of the equation that its output does not name.";
  def.inputs = {variadic_operand("Inputs", opdef::kNumbers, "one per term")};
  def.outputs = {operand("Output", opdef::kNumbers, "as the equation's right side")};
  def.attrs = {opdef::required_attr("equation", opdef::AttrKind::kString, "\"bij,bjk->bik\"")};
  def.kind = opdef::FusionKind::kContraction;
  def.infer = infer_einsum;
  def.evaluate = evaluate_einsum;
  def.accumulation = accumulation;
  def.tensorflow = {tensorflow("Einsum")};
  registry.add(std::move(def));
}

}  // namespace planish::ops
