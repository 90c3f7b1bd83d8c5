// fold_batch_norm: y = (x - mean) / sqrt(var + epsilon) * scale + bias with constant statistics is
// one factor and one summand per channel. They go into the weights of the contraction before, or,
// when there is none and the only reader is an unpadded one, into the weights behind; else the node
// becomes a Mul and an Add, which later fuse with their neighbours.
#include <cmath>

#include "passes/contraction.h"
#include "passes/passes.h"

namespace planish::passes {
namespace {

struct Affine {
  std::vector<double> factor, summand;
};

std::optional<Affine> affine_of(const Node& node) {
  const Tensor* t[4];
  for (int i = 0; i < 4; ++i) {
    t[i] = constant_input(node, i + 1);
    if (!t[i] || t[i]->rank() != 1 || t[i]->count() != t[0]->count()) return std::nullopt;
  }
  const double epsilon = float_attr(node, "epsilon", 1e-5);
  Affine out;
  for (int64_t c = 0; c < t[0]->count(); ++c) {
    const double factor = t[0]->f64(c) / std::sqrt(t[3]->f64(c) + epsilon);
    out.factor.push_back(factor);
    out.summand.push_back(t[1]->f64(c) - t[2]->f64(c) * factor);
    if (!std::isfinite(factor) || !std::isfinite(out.summand.back())) return std::nullopt;
  }
  return out;
}

bool fold_before(Graph& graph, Node* node, const Affine& affine, PassContext& context) {
  Value* x = node->inputs[0];
  auto c = contraction_of(x->producer);
  if (!c || !used_once(graph, x) || c->output_axis != 1 ||
      c->outputs != int64_t(affine.factor.size()) ||
      !scale_outputs(graph, *c, affine.factor, affine.summand))
    return false;
  context.count("fold_batch_norm/before");
  add_sources(*c->node, *node);
  replace(graph, node->outputs[0], x);
  erase_unused(graph, node);
  return true;
}

bool fold_behind(Graph& graph, Node* node, const Affine& affine, PassContext& context) {
  Value* y = node->outputs[0];
  if (!used_once(graph, y) || y->uses[0].index != 0) return false;
  auto c = contraction_of(y->uses[0].node);
  if (!c || c->input_axis != 1 || c->inputs != int64_t(affine.factor.size()) ||
      !scale_inputs(graph, *c, affine.factor, affine.summand))
    return false;
  context.count("fold_batch_norm/behind");
  add_sources(*c->node, *node);
  replace(graph, y, node->inputs[0]);
  erase_unused(graph, node);
  return true;
}

Value* channel_constant(Graph& graph, const Node& node, const std::vector<double>& values,
                        std::string_view suffix) {
  const DataType dtype = node.inputs[0]->type.dtype;
  std::vector<int64_t> dims(size_t(std::max(node.inputs[0]->type.rank() - 1, 1)), 1);
  dims[0] = int64_t(values.size());
  return graph.add_constant(node.inputs[1]->name + std::string(suffix),
                            Tensor::from_f64(dtype, std::move(dims), values));
}

}  // namespace

Result<bool> fold_batch_norm(Graph& graph, PassContext& context) {
  bool changed = false;
  std::vector<Node*> order;
  for (const auto& node : graph.nodes())
    if (node->op == "BatchNormalization" && node->outputs.size() == 1) order.push_back(node.get());
  for (Node* node : order) {
    const auto affine = affine_of(*node);
    if (!affine || int_attr(*node, "training_mode", 0) != 0 || node->inputs[0]->type.rank() < 2)
      continue;
    changed = true;
    context.count("fold_batch_norm");
    if (fold_before(graph, node, *affine, context) || fold_behind(graph, node, *affine, context))
      continue;
    Value* factor = channel_constant(graph, *node, affine->factor, "_factor");
    Value* summand = channel_constant(graph, *node, affine->summand, "_summand");
    PLANISH_ASSIGN_OR_RETURN(Value * product, add_op(graph, context, "Mul",
                                                     {node->inputs[0], factor}, {}, node));
    PLANISH_ASSIGN_OR_RETURN(Value * sum,
                             add_op(graph, context, "Add", {product, summand}, {}, node));
    replace(graph, node->outputs[0], sum);
    erase_unused(graph, node);
  }
  return changed;
}

}  // namespace planish::passes
