// fold_constants: what is known when the network is built is not computed when it runs. A node with
// constant operands is evaluated by the interpreter's own code; an integer value whose elements
// shape inference knows to be numbers becomes a constant, whatever computes it. Random ops are
// never folded, and a fold never makes the model grow beyond the limits of PassOptions: a
// ConstantOfShape of a gigabyte stays a node.
#include <algorithm>

#include "eval/interpreter.h"
#include "opdef/infer.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace planish::passes {
namespace {

bool known_content(const Value& v) {
  return v.content && v.producer && !v.uses.empty() &&
         std::all_of(v.content->begin(), v.content->end(),
                     [](const Dim& d) { return d.is_constant(); });
}

bool fold_content(Graph& graph, Node& node, PassContext& context) {
  bool changed = false;
  for (Value* v : node.outputs) {
    if (!known_content(*v) || !ir::is_constant(v->type.shape)) continue;
    std::vector<int64_t> elements;
    for (const Dim& d : *v->content) elements.push_back(d.value());
    const std::vector<int64_t> dims = ir::to_dims(v->type.shape);
    if (ir::element_count(dims) != int64_t(elements.size())) continue;
    Value* constant =
        graph.add_constant(v->name, Tensor::from_i64(v->type.dtype, dims, elements));
    // An output of the graph stays computed; everybody else reads the constant.
    const std::vector<ir::Use> uses = v->uses;
    for (const ir::Use& use : uses) graph.set_input(use.node, use.index, constant);
    context.count("fold_constants/content");
    changed = true;
  }
  return changed;
}

// Bytes of the outputs, nullopt when not known before evaluation.
std::optional<int64_t> output_bytes(const Node& node) {
  int64_t total = 0;
  for (const Value* v : node.outputs) {
    if (!ir::is_constant(v->type.shape)) return std::nullopt;
    const auto count = ir::checked_element_count(ir::to_dims(v->type.shape));
    if (!count || *count > int64_t(1) << 40) return int64_t(1) << 60;
    total += ir::bytes_of(v->type.dtype, *count);
  }
  return total;
}

bool is_worth_folding(const Node& node, const opdef::OpDef& op, const PassContext& context) {
  if (op.random || op.has_subgraphs || node.outputs.empty() || node.op == "Region") return false;
  int64_t input_bytes = 0;
  for (const Value* v : node.inputs) {
    if (!v) continue;
    if (!v->constant) return false;
    input_bytes += v->constant->bytes();
  }
  const PassOptions& options = context.options;
  // Data-dependent dims: never more elements than a few times the operands'.
  const int64_t bytes = output_bytes(node).value_or(input_bytes * 8);
  // A part of a constant may be large: it is no more than what is there.
  if (bytes > std::max(options.max_fold_bytes, input_bytes) || bytes > input_bytes + options.max_fold_growth)
    return false;
  const int64_t per_element = op.accumulation ? std::max<int64_t>(op.accumulation(node), 1) : 1;
  return per_element <= options.max_fold_work &&
         std::max(bytes, input_bytes) <= options.max_fold_work / per_element * 4;
}

}  // namespace

Result<bool> fold_constants(Graph& graph, PassContext& context) {
  bool changed = false, stale_types = false;
  std::vector<Node*> order;
  for (const auto& node : graph.nodes()) order.push_back(node.get());
  for (Node* node : order) {
    changed |= fold_content(graph, *node, context);
    const opdef::OpDef* op = context.op(*node);
    if (!op || !is_worth_folding(*node, *op, context)) continue;
    if (std::any_of(node->outputs.begin(), node->outputs.end(),
                    [&](const Value* v) { return is_pinned(graph, v); }))
      continue;
    std::vector<const Tensor*> inputs;
    for (const Value* v : node->inputs) inputs.push_back(v ? &*v->constant : nullptr);
    auto values = eval::evaluate_op(context.registry, *op, node->attrs, inputs,
                                    int(node->outputs.size()));
    // What cannot be evaluated (a runtime error of the model's) stays to fail when it runs.
    if (!values.ok()) continue;
    for (size_t i = 0; i < values->size(); ++i) {
      Value* from = node->outputs[i];
      stale_types |= !ir::is_constant(from->type.shape);
      if (from->uses.empty()) continue;
      graph.replace_uses(from, graph.add_constant(from->name, std::move((*values)[i])));
    }
    std::vector<Value*> operands = node->inputs;
    graph.erase(node);
    std::sort(operands.begin(), operands.end());
    operands.erase(std::unique(operands.begin(), operands.end()), operands.end());
    for (Value* v : operands)
      if (v && v->uses.empty() && !is_pinned(graph, v)) graph.erase_value(v);
    context.count("fold_constants");
    changed = true;
  }
  // A data-dependent dim has become a number: tell those behind it.
  if (stale_types) PLANISH_RETURN_IF_ERROR(opdef::infer_graph(context.registry, graph));
  return changed;
}

}  // namespace planish::passes
