// eliminate_dead: nodes that no output and no kept value needs go, then constants without uses.
// Inputs stay: they are the model's interface (and a body's inputs match its node's by position).
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace planish::passes {

Result<bool> eliminate_dead(Graph& graph, PassContext& context) {
  const std::set<const Value*> outputs(graph.outputs.begin(), graph.outputs.end());
  int64_t erased = 0;
  // Consumers stand behind producers, so one walk from the end sees every use go first.
  std::vector<Node*> order;
  for (const auto& node : graph.nodes()) order.push_back(node.get());
  for (size_t i = order.size(); i-- > 0;) {
    bool needed = false;
    for (const Value* v : order[i]->outputs)
      needed |= !v->uses.empty() || v->keep || outputs.count(v);
    if (needed) continue;
    graph.erase(order[i]);
    ++erased;
  }
  std::vector<Value*> unused;
  for (const auto& [id, v] : graph.values())
    if (v->constant && v->uses.empty() && !v->keep && !outputs.count(v.get()))
      unused.push_back(v.get());
  for (Value* v : unused) graph.erase_value(v);
  context.count("eliminate_dead", erased);
  return erased > 0 || !unused.empty();
}

}  // namespace planish::passes
