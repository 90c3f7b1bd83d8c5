// fold_scale: an elementwise node that adds, subtracts, multiplies or divides by constants per channel
// goes into the weights and bias of the contraction before it, or else of the unpadded contraction
// that alone reads it. Gemm's alpha and beta go the same way. What a node computes is read from its
// op's expression.
#include <algorithm>

#include "opdef/infer.h"
#include "passes/contraction.h"
#include "passes/passes.h"

namespace planish::passes {
namespace {

using kernel::ScalarOp;

// y = a x + b with a or b a constant value.
struct Step {
  Value* x = nullptr;
  const Value* constant = nullptr;
  ScalarOp op = ScalarOp::kAdd;
  bool constant_first = false;
};

std::optional<Step> step_of(const Node& node, const PassContext& context) {
  if (node.inputs.size() != 2 || !is_elementwise(context, node)) return std::nullopt;
  Value *a = node.inputs[0], *b = node.inputs[1];
  if (!a || !b || a->is_constant() == b->is_constant()) return std::nullopt;
  if (!ir::is_float(node.outputs[0]->type.dtype)) return std::nullopt;
  auto expr = opdef::expression_of(*context.op(node), node.attrs,
                                   std::vector<std::optional<DataType>>{a->type.dtype,
                                                                        b->type.dtype},
                                   node.outputs[0]->type.dtype);
  if (!expr.ok() || expr->nodes.size() != 3) return std::nullopt;
  const kernel::ExprNode& result = expr->nodes[size_t(expr->outputs[0])];
  if (result.op != ScalarOp::kAdd && result.op != ScalarOp::kSub && result.op != ScalarOp::kMul &&
      result.op != ScalarOp::kDiv)
    return std::nullopt;
  Step step;
  step.op = result.op;
  step.constant_first = a->is_constant();
  step.x = step.constant_first ? b : a;
  step.constant = step.constant_first ? a : b;
  if (step.op == ScalarOp::kDiv && step.constant_first) return std::nullopt;
  if (!(step.x->type.shape == node.outputs[0]->type.shape)) return std::nullopt;
  return step;
}

// The factors and summands of the step along `axis`.
bool factors(const Step& step, int axis, int64_t channels, std::vector<double>& a,
             std::vector<double>& b) {
  auto c = per_channel(step.constant, step.x->type.shape, axis, channels);
  if (!c) return false;
  a.assign(size_t(channels), 1.0);
  b.assign(size_t(channels), 0.0);
  for (size_t i = 0; i < a.size(); ++i) {
    const double v = (*c)[i];
    switch (step.op) {
      case ScalarOp::kAdd: b[i] = v; break;
      case ScalarOp::kMul: a[i] = v; break;
      case ScalarOp::kDiv: a[i] = 1 / v; break;
      default:
        a[i] = step.constant_first ? -1 : 1;
        b[i] = step.constant_first ? v : -v;
    }
  }
  return true;
}

bool fold(Graph& graph, Node* node, const Step& step, PassContext& context) {
  std::vector<double> a, b;
  if (auto c = contraction_of(step.x->producer);
      c && used_once(graph, step.x) && factors(step, c->output_axis, c->outputs, a, b) &&
      scale_outputs(graph, *c, a, b)) {
    context.count("fold_scale/before");
    add_sources(*c->node, *node);
    replace(graph, node->outputs[0], step.x);
    erase_unused(graph, node);
    return true;
  }
  Value* y = node->outputs[0];
  if (!used_once(graph, y) || y->uses[0].index != 0) return false;
  if (auto c = contraction_of(y->uses[0].node);
      c && factors(step, c->input_axis, c->inputs, a, b) && scale_inputs(graph, *c, a, b)) {
    context.count("fold_scale/behind");
    add_sources(*c->node, *node);
    replace(graph, y, step.x);
    erase_unused(graph, node);
    return true;
  }
  return false;
}

// alpha into constant B, beta into constant C.
bool fold_gemm_factors(Graph& graph, Node* node, PassContext& context) {
  if (node->op != "Gemm") return false;
  bool changed = false;
  const auto fold_one = [&](const char* key, int index) {
    const double factor = float_attr(*node, key, 1);
    const Tensor* t = constant_input(*node, index);
    if (factor == 1 || !t || !ir::is_float(t->dtype())) return;
    std::vector<double> values = t->f64_values();
    for (double& v : values) v *= factor;
    Value* before = node->inputs[size_t(index)];
    graph.set_input(node, index,
                    graph.add_constant(before->name, Tensor::from_f64(t->dtype(), t->dims(), values)));
    if (before->uses.empty() && !is_pinned(graph, before)) graph.erase_value(before);
    node->attrs[key] = 1.0;
    context.count("fold_scale/gemm");
    changed = true;
  };
  fold_one("alpha", 1);
  fold_one("beta", 2);
  return changed;
}

}  // namespace

Result<bool> fold_scale(Graph& graph, PassContext& context) {
  bool changed = false;
  for (auto it = graph.nodes().begin(); it != graph.nodes().end();) {
    Node* node = it->get();
    ++it;
    changed |= fold_gemm_factors(graph, node, context);
    const auto step = step_of(*node, context);
    if (!step || !fold(graph, node, *step, context)) continue;
    context.count("fold_scale");
    changed = true;
  }
  return changed;
}

}  // namespace planish::passes
