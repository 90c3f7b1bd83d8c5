// inline_branches: an If whose condition is constant is replaced by the branch that is taken. Its
// nodes keep the source names that they had inside the branch.
#include "opdef/infer.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace planish::passes {

Result<bool> inline_branches(Graph& graph, PassContext& context) {
  std::vector<Node*> known;
  for (const auto& node : graph.nodes())
    if (node->op == "If" && scalar_of(input(*node, 0))) known.push_back(node.get());
  bool changed = false;
  for (Node* node : known) {
    const bool taken = *scalar_of(input(*node, 0)) != 0;
    const ir::GraphPtr body = node->attr_graph(taken ? "then_branch" : "else_branch");
    // The bodies' inputs are the node's captures, the operands behind the condition: those of
    // then_branch, then those of else_branch.
    const ir::GraphPtr& first = node->attr_graph("then_branch");
    const size_t begin = taken ? 1 : 1 + first->inputs.size();
    if (begin + body->inputs.size() > node->inputs.size()) continue;
    const std::vector<Value*> operands(node->inputs.begin() + std::ptrdiff_t(begin),
                                       node->inputs.begin() +
                                           std::ptrdiff_t(begin + body->inputs.size()));
    if (!inline_body(graph, node, *body, operands, true).ok()) continue;
    context.count("inline_branches");
    changed = true;
  }
  if (changed) PLANISH_RETURN_IF_ERROR(opdef::infer_graph(context.registry, graph));
  return changed;
}

}  // namespace planish::passes
