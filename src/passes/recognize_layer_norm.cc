// recognize_layer_norm: d = x - mean(x), d / sqrt(mean(d^2) + epsilon) * scale + bias over the last
// axes is LayerNormalization. Scale and bias are optional constants.
#include "passes/norm_match.h"
#include "passes/passes.h"

namespace planish::passes {
namespace {

struct Match {
  Node* divide;
  Node* sub;
  Node* mean;
  RootMeanSquare root;
};

std::optional<Match> match(Node* node) {
  const auto root = match_root_mean_square(node);
  if (!root) return std::nullopt;
  Node* sub = producer_of(root->d, "Sub");
  Node* mean = sub ? producer_of(input(*sub, 1), "ReduceMean") : nullptr;
  if (!mean || mean->inputs[0] != sub->inputs[0] || trailing_axes(*mean) != root->axis)
    return std::nullopt;
  return Match{node, sub, mean, *root};
}

// The node that alone reads `v` and combines it by `op` with a constant over the normalized axes,
// which is given back in `constant`.
Node* constant_step(Graph& graph, Value* v, std::string_view op, const Shape& shape, int64_t axis,
                    Value*& constant) {
  if (!used_once(graph, v) || v->uses[0].node->op != op || v->uses[0].node->inputs.size() != 2)
    return nullptr;
  Node* node = v->uses[0].node;
  constant = trailing_constant(graph, node->inputs[node->inputs[0] == v ? 1 : 0], shape, axis);
  return constant ? node : nullptr;
}

Result<bool> apply(Graph& graph, const Match& m, PassContext& context) {
  Value* x = m.sub->inputs[0];
  const Shape shape = x->type.shape;
  Node* last = m.divide;
  Value *scale = nullptr, *bias = nullptr;
  if (Node* mul = constant_step(graph, last->outputs[0], "Mul", shape, m.root.axis, scale))
    last = mul;
  if (Node* add = constant_step(graph, last->outputs[0], "Add", shape, m.root.axis, bias))
    last = add;
  if (!scale) scale = trailing_ones(graph, x->type.dtype, shape, m.root.axis);
  if (!scale) return false;
  std::vector<Value*> inputs = {x, scale};
  if (bias) inputs.push_back(bias);
  PLANISH_ASSIGN_OR_RETURN(
      Node * norm, add_node(graph, context, "LayerNormalization", std::move(inputs),
                            {{"axis", m.root.axis}, {"epsilon", m.root.epsilon}}, last));
  for (const Node* part : {m.mean, m.sub, m.divide}) add_sources(*norm, *part);
  replace(graph, last->outputs[0], norm->outputs[0]);
  erase_unused(graph, last);
  context.count("recognize_layer_norm");
  return true;
}

}  // namespace

Result<bool> recognize_layer_norm(Graph& graph, PassContext& context) {
  if (!context.registry.find("LayerNormalization")) return false;
  // Found first, then rewritten: no rewrite erases another's dividing node.
  std::vector<Node*> found;
  for (const auto& node : graph.nodes())
    if (match(node.get())) found.push_back(node.get());
  bool changed = false;
  for (Node* node : found) {
    const auto again = match(node);
    if (!again) continue;
    PLANISH_ASSIGN_OR_RETURN(bool done, apply(graph, *again, context));
    changed |= done;
  }
  return changed;
}

}  // namespace planish::passes
