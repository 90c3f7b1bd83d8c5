// recognize_rms_norm: x / sqrt(mean(x^2) + epsilon) * scale over the last axes is RMSNormalization.
// Runs behind recognize_layer_norm, whose core is the same with x less its mean.
#include "passes/norm_match.h"
#include "passes/passes.h"

namespace planish::passes {
namespace {

Result<bool> apply(Graph& graph, Node* node, const RootMeanSquare& root, PassContext& context) {
  Value* x = root.d;
  Node* last = node;
  Value* scale = nullptr;
  Value* y = node->outputs[0];
  if (used_once(graph, y) && y->uses[0].node->op == "Mul") {
    Node* mul = y->uses[0].node;
    scale = trailing_constant(graph, mul->inputs[mul->inputs[0] == y ? 1 : 0], x->type.shape,
                              root.axis);
    if (scale) last = mul;
  }
  if (!scale) scale = trailing_ones(graph, x->type.dtype, x->type.shape, root.axis);
  if (!scale) return false;
  PLANISH_ASSIGN_OR_RETURN(Node * norm,
                           add_node(graph, context, "RMSNormalization", {x, scale},
                                    {{"axis", root.axis}, {"epsilon", root.epsilon}}, last));
  add_sources(*norm, *node);
  replace(graph, last->outputs[0], norm->outputs[0]);
  erase_unused(graph, last);
  context.count("recognize_rms_norm");
  return true;
}

}  // namespace

Result<bool> recognize_rms_norm(Graph& graph, PassContext& context) {
  if (!context.registry.find("RMSNormalization")) return false;
  std::vector<Node*> found;
  for (const auto& node : graph.nodes())
    if (match_root_mean_square(node.get())) found.push_back(node.get());
  bool changed = false;
  for (Node* node : found) {
    const auto root = match_root_mean_square(node);
    if (!root) continue;
    PLANISH_ASSIGN_OR_RETURN(bool done, apply(graph, node, *root, context));
    changed |= done;
  }
  return changed;
}

}  // namespace planish::passes
