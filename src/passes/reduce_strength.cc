// reduce_strength: dearer elementwise ops become cheaper ones. Exact ones always (division by powers
// of two, squares, Min and Max into Clip and Relu); those that round differently (division by other
// constants) unless fp32_exact.
#include <algorithm>
#include <cmath>

#include "passes/passes.h"
#include "passes/rewrite.h"

namespace planish::passes {
namespace {

bool is_power_of_two(double v) {
  int exponent = 0;
  return std::isfinite(v) && v != 0 && std::fabs(std::frexp(v, &exponent)) == 0.5;
}

// The constant whose product replaces the division; nullopt when that would round differently and
// must not, or leave the type's range.
std::optional<Tensor> reciprocal(const Tensor& divisor, bool exact) {
  if (!ir::is_float(divisor.dtype()) || divisor.count() > 1 << 20) return std::nullopt;
  std::vector<double> values = divisor.f64_values();
  for (double& v : values) {
    if (!is_power_of_two(v) && (exact || !std::isfinite(v) || v == 0)) return std::nullopt;
    v = 1 / v;
    const double stored = ir::round_to(divisor.dtype(), v);
    if (!std::isfinite(stored) || std::fabs(stored) < 0x1p-100) return std::nullopt;
  }
  Tensor out = Tensor::from_f64(divisor.dtype(), divisor.dims(), values);
  // Narrow types lose too much of a reciprocal.
  if (ir::unit_roundoff(divisor.dtype()) > 0x1p-20)
    for (size_t i = 0; i < values.size(); ++i)
      if (out.f64(int64_t(i)) != values[i]) return std::nullopt;
  return out;
}

struct Rewrite {
  std::string op;
  std::vector<Value*> inputs;
  const char* rule = nullptr;
};

std::optional<Rewrite> rewrite_pow(const Node& node) {
  const auto exponent = scalar_of(input(node, 1));
  Value* x = node.inputs[0];
  if (!exponent || !ir::is_float(x->type.dtype) || !(x->type.shape == node.outputs[0]->type.shape))
    return std::nullopt;
  if (*exponent == 2) return Rewrite{"Mul", {x, x}, "reduce_strength/square"};
  if (*exponent == 0.5) return Rewrite{"Sqrt", {x}, "reduce_strength/sqrt"};
  if (*exponent == -1) return Rewrite{"Reciprocal", {x}, "reduce_strength/reciprocal"};
  return std::nullopt;
}

// A one-element constant as Clip takes it.
Value* rank_zero(Graph& graph, Value* v) {
  if (v->type.rank() == 0) return v;
  return add_scalar(graph, *scalar_of(v), v->type.dtype, v->name);
}

// Max(x, 0) -> Relu; Min(Relu(x), b) -> Clip; Min(Max(x, a), b) and Max(Min(x, b), a) with a <= b -> Clip.
std::optional<Rewrite> rewrite_extremum(Graph& graph, const Node& node) {
  if (node.inputs.size() != 2) return std::nullopt;
  const auto take = [](const Node& n, Value*& x, Value*& c) {
    const bool first = n.inputs[0] && scalar_of(n.inputs[0]).has_value();
    x = n.inputs[first ? 1 : 0];
    c = n.inputs[first ? 0 : 1];
    return x && c && !x->is_constant() && scalar_of(c) && ir::is_float(x->type.dtype) &&
           x->type.shape == n.outputs[0]->type.shape;
  };
  Value *x = nullptr, *c = nullptr;
  if (!take(node, x, c)) return std::nullopt;
  Node* inner = producer_of(x, node.op == "Max" ? "Min" : "Max");
  Value *y = nullptr, *d = nullptr;
  if (inner && inner->inputs.size() == 2 && used_once(graph, x) && take(*inner, y, d)) {
    Value* low = node.op == "Max" ? c : d;
    Value* high = node.op == "Max" ? d : c;
    if (*scalar_of(low) <= *scalar_of(high)) {
      return Rewrite{"Clip",
                     {y, rank_zero(graph, low), rank_zero(graph, high)},
                     "reduce_strength/clip"};
    }
  }
  if (Node* relu = producer_of(x, "Relu");
      relu && node.op == "Min" && used_once(graph, x) && *scalar_of(c) >= 0)
    return Rewrite{"Clip",
                   {relu->inputs[0], add_scalar(graph, 0, x->type.dtype, "zero"),
                    rank_zero(graph, c)},
                   "reduce_strength/clip"};
  if (node.op == "Max" && *scalar_of(c) == 0) return Rewrite{"Relu", {x}, "reduce_strength/relu"};
  return std::nullopt;
}

std::optional<Rewrite> rewrite_clip(const Node& node) {
  const auto low = scalar_of(input(node, 1)), high = scalar_of(input(node, 2));
  if (!low || *low != 0 || (input(node, 2) && !high)) return std::nullopt;
  const DataType dtype = node.inputs[0]->type.dtype;
  if (!ir::is_float(dtype)) return std::nullopt;
  // The largest finite number is how old exporters wrote "no limit".
  if (high && *high < 3.4e38) return std::nullopt;
  return Rewrite{"Relu", {node.inputs[0]}, "reduce_strength/relu"};
}

std::optional<Rewrite> rewrite(Graph& graph, const Node& node, const PassContext& context) {
  if (node.outputs.size() != 1 || node.inputs.empty() || !node.inputs[0]) return std::nullopt;
  if (node.op == "Pow") return rewrite_pow(node);
  if (node.op == "Min" || node.op == "Max") return rewrite_extremum(graph, node);
  if (node.op == "Clip") return rewrite_clip(node);
  if (node.op == "Div" && !node.inputs[0]->is_constant()) {
    const Tensor* divisor = constant_input(node, 1);
    if (!divisor) return std::nullopt;
    auto factor = reciprocal(*divisor, context.options.fp32_exact);
    if (!factor) return std::nullopt;
    return Rewrite{"Mul",
                   {node.inputs[0], graph.add_constant(node.inputs[1]->name, std::move(*factor))},
                   "reduce_strength/division"};
  }
  return std::nullopt;
}

}  // namespace

Result<bool> reduce_strength(Graph& graph, PassContext& context) {
  bool changed = false;
  for (auto it = graph.nodes().begin(); it != graph.nodes().end();) {
    Node* node = it->get();
    ++it;
    auto better = rewrite(graph, *node, context);
    if (!better) continue;
    PLANISH_ASSIGN_OR_RETURN(Value * y, add_op(graph, context, better->op,
                                               std::move(better->inputs), {}, node));
    replace(graph, node->outputs[0], y);
    erase_unused(graph, node);
    context.count("reduce_strength");
    context.count(better->rule);
    changed = true;
  }
  return changed;
}

}  // namespace planish::passes
