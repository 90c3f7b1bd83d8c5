// recognize_suppressed_scores: the scores that NonMaxSuppression selects, gathered by its indices
// and scattered into zeros, are SuppressedScores. How many are selected, only the data say; here
// nothing has that shape any more, so a device runs it without asking the host.
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace planish::passes {
namespace {

bool is_zeros(const Value* value) {
  if (const Node* node = producer_of(value, "ConstantOfShape")) {
    const auto found = node->attrs.find("value");
    if (found == node->attrs.end()) return true;
    const Tensor* fill = std::get_if<Tensor>(&found->second);
    return fill && fill->f64(0) == 0;
  }
  if (!value->constant) return false;
  for (int64_t i = 0; i < value->constant->count(); ++i)
    if (value->constant->f64(i) != 0) return false;
  return true;
}

// ScatterND(zeros, NMS(boxes, scores, ...), GatherND(scores, NMS(...))): the NonMaxSuppression,
// else null.
const Node* suppression_of(const Node& scatter) {
  if (scatter.op != "ScatterND" || string_attr(scatter, "reduction", "none") != "none")
    return nullptr;
  const Node* kept = producer_of(scatter.inputs[1], "NonMaxSuppression");
  const Node* gather = producer_of(scatter.inputs[2], "GatherND");
  if (!kept || !gather || int_attr(*gather, "batch_dims", 0) != 0) return nullptr;
  const bool same = gather->inputs[0] == kept->inputs[1] && gather->inputs[1] == kept->outputs[0] &&
                    scatter.outputs[0]->type.shape == kept->inputs[1]->type.shape;
  return same && is_zeros(scatter.inputs[0]) ? kept : nullptr;
}

bool uses(const Graph& graph, const std::string& symbol) {
  for (const auto& [id, value] : graph.values())
    for (const Dim& d : value->type.shape)
      for (const std::string& s : d.symbols())
        if (s == symbol) return true;
  return false;
}

}  // namespace

Result<bool> recognize_suppressed_scores(Graph& graph, PassContext& context) {
  bool changed = false;
  for (auto it = graph.nodes().begin(); it != graph.nodes().end();) {
    Node* node = it->get();
    ++it;
    const Node* kept = suppression_of(*node);
    if (!kept) continue;
    const std::vector<std::string> symbols = kept->outputs[0]->type.shape[0].symbols();
    PLANISH_ASSIGN_OR_RETURN(Value * scores, add_op(graph, context, "SuppressedScores",
                                                    kept->inputs, kept->attrs, node));
    replace(graph, node->outputs[0], scores);
    erase_unused(graph, node);
    // The count that the data decided is nobody's any more.
    for (const std::string& symbol : symbols) {
      auto found = graph.symbols.find(symbol);
      if (found != graph.symbols.end() && found->second.from_data && !uses(graph, symbol))
        graph.symbols.erase(found);
    }
    context.count("recognize_suppressed_scores");
    changed = true;
  }
  return changed;
}

}  // namespace planish::passes
