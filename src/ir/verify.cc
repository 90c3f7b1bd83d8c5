// The structural verifier of graphs; see verify() in graph.h.
#include <algorithm>
#include <set>

#include "base/text.h"
#include "ir/graph.h"

namespace planish::ir {
namespace {

Status fault(const Node& node, std::string_view what) {
  return internal_error(cat("graph verifier: node ", node.id, " (", node.op, "): ", what));
}

Status verify_node(const Graph& graph, const Node& node, const std::set<const Value*>& known) {
  if (node.graph != &graph) return fault(node, "belongs to another graph");
  if (node.op.empty()) return fault(node, "has no op");
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const Value* v = node.inputs[i];
    if (!v) continue;
    if (!known.count(v)) return fault(node, cat("input ", i, " is not defined before its use"));
  }
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    const Value* v = node.outputs[i];
    if (!v || v->producer != &node || v->output_index != int(i))
      return fault(node, cat("output ", i, " does not point back"));
    if (v->is_constant()) return fault(node, cat("output '", v->name, "' is a constant"));
  }
  for (const auto& [key, attribute] : node.attrs) {
    const GraphPtr* body = std::get_if<GraphPtr>(&attribute);
    if (!body) continue;
    if (!*body) return fault(node, cat("attribute '", key, "' holds no graph"));
    if (Status s = verify(**body); !s.ok()) return s.at(cat("body '", key, "' of ", node.op));
  }
  return ok_status();
}

// Every operand is listed by its value exactly once: each listed use points at an operand that is the
// value, no list names one twice, and there are as many as operands.
Status verify_uses(const Graph& graph) {
  int64_t operands = 0, listed = 0;
  for (const auto& node : graph.nodes())
    for (const Value* v : node->inputs) operands += v != nullptr;
  for (const auto& [id, value] : graph.values()) {
    std::set<std::pair<const Node*, int>> seen;
    for (const Use& use : value->uses) {
      if (use.index < 0 || use.index >= int(use.node->inputs.size()) ||
          use.node->inputs[size_t(use.index)] != value.get())
        return internal_error(cat("graph verifier: value '", value->name, "' lists a stale use"));
      if (!seen.emplace(use.node, use.index).second)
        return internal_error(cat("graph verifier: value '", value->name, "' lists a use twice"));
    }
    listed += int64_t(value->uses.size());
  }
  if (operands != listed)
    return internal_error(cat("graph verifier: ", operands, " operands, ", listed, " listed uses"));
  return ok_status();
}

}  // namespace

Status verify(const Graph& graph) {
  std::set<const Value*> known;
  std::set<std::string_view> names;
  for (const auto& [id, value] : graph.values()) {
    if (!names.insert(value->name).second)
      return internal_error(cat("graph verifier: two values named '", value->name, "'"));
    for (const Dim& d : value->type.shape)
      if (!d.valid())
        return internal_error(cat("graph verifier: value '", value->name, "' has an invalid dim"));
    if (value->is_constant()) {
      if (value->producer)
        return internal_error(cat("graph verifier: constant '", value->name, "' has a producer"));
      if (value->constant->dtype() != value->type.dtype ||
          to_shape(value->constant->dims()) != value->type.shape)
        return internal_error(cat("graph verifier: constant '", value->name, "' of type ",
                                  to_string(value->constant->type()), " is declared ",
                                  to_string(value->type)));
    }
    if (!value->producer) known.insert(value.get());
  }
  for (const Value* v : graph.inputs)
    if (!v || v->producer || v->is_constant())
      return internal_error("graph verifier: an input is computed or constant");
  for (const auto& node : graph.nodes()) {
    PLANISH_RETURN_IF_ERROR(verify_node(graph, *node, known));
    known.insert(node->outputs.begin(), node->outputs.end());
  }
  for (const Value* v : graph.outputs)
    if (!v || !known.count(v)) return internal_error("graph verifier: an output is not defined");
  return verify_uses(graph);
}

}  // namespace planish::ir
