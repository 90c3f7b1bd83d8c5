// simplify_views: ops that only rename dims (Squeeze, Unsqueeze, Flatten, Reshape, and Transpose
// when it moves nothing but ones) become one Reshape with a constant target, and chains of them
// become one. A target is constant when every dim is a number, a copy of the operand's dim at the
// same place (0) or, once, what is left (-1); the shape arithmetic that computed it dies with that.
// An Expand that only feeds an elementwise op which broadcasts by itself is passed by.
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace planish::passes {
namespace {

bool never_zero(const Graph& graph, const Dim& dim) {
  const auto range = dim.range([&](std::string_view name) -> Dim::Range {
    auto found = graph.symbols.find(name);
    if (found == graph.symbols.end()) return {};
    return {found->second.low, found->second.high};
  });
  return range.low && *range.low > 0;
}

// The second input of a Reshape (allowzero 0) from `in` to `out`.
std::optional<std::vector<int64_t>> constant_target(const Graph& graph, const Shape& in,
                                                    const Shape& out) {
  std::vector<int64_t> target;
  bool unknown = false, zero_copied = false;
  for (size_t i = 0; i < out.size(); ++i) {
    const bool copies = i < in.size() && in[i] == out[i];
    if (const auto number = out[i].constant(); number && *number != 0) {
      target.push_back(*number);
    } else if (copies) {
      target.push_back(0);
      zero_copied |= !never_zero(graph, out[i]);
    } else if (!number && !unknown) {
      target.push_back(-1);
      unknown = true;
    } else {
      return std::nullopt;
    }
  }
  if (unknown && zero_copied) return std::nullopt;  // 0 elements leave -1 open
  return target;
}

// The order of elements stays when only dims of one move.
bool moves_nothing(const Node& node) {
  int64_t last = -1;
  for (int64_t p : ints_attr(node, "perm")) {
    if (node.inputs[0]->type.shape[size_t(p)] == Dim(1)) continue;
    if (p < last) return false;
    last = p;
  }
  return true;
}

bool is_view(const Node& node) {
  if (node.outputs.size() != 1 || !input(node, 0)) return false;
  if (node.op == "Transpose")
    return ints_attr(node, "perm").size() == node.inputs[0]->type.shape.size() &&
           moves_nothing(node);
  return node.op == "Reshape" || node.op == "Squeeze" || node.op == "Unsqueeze" ||
         node.op == "Flatten";
}

Result<bool> simplify(Graph& graph, Node* node, PassContext& context) {
  Value* x = input(*node, 0);
  Value* y = node->outputs[0];
  bool shortened = false;
  while (x->producer && is_view(*x->producer)) {
    x = input(*x->producer, 0);
    shortened = true;
  }
  if (y->content) return false;  // shape arithmetic: carried by its content
  if (x->type.shape == y->type.shape && can_replace(graph, y, x)) {
    replace(graph, y, x);
    erase_unused(graph, node);
    context.count("simplify_views");
    return true;
  }
  const auto target = constant_target(graph, x->type.shape, y->type.shape);
  if (!target) return false;
  const bool is_normal = node->op == "Reshape" && constant_input(*node, 1);
  if (is_normal && !shortened) return false;
  PLANISH_ASSIGN_OR_RETURN(
      Value * view,
      add_op(graph, context, "Reshape", {x, add_ints(graph, *target, "shape")},
             {{"allowzero", int64_t(0)}}, node));
  // The target has to mean the same dims to inference.
  if (!(view->type.shape == y->type.shape)) {
    erase_unused(graph, view->producer);
    return false;
  }
  replace(graph, y, view);
  erase_unused(graph, node);
  context.count("simplify_views");
  return true;
}

std::optional<Shape> broadcast(const Shape& a, const Shape& b) {
  const Shape& longer = a.size() >= b.size() ? a : b;
  const Shape& shorter = a.size() >= b.size() ? b : a;
  Shape out = longer;
  const size_t skip = longer.size() - shorter.size();
  for (size_t i = 0; i < shorter.size(); ++i) {
    Dim& d = out[skip + i];
    if (d == shorter[i] || shorter[i] == Dim(1)) continue;
    if (!(d == Dim(1))) return std::nullopt;
    d = shorter[i];
  }
  return out;
}

bool pass_expand_by(Graph& graph, Node* node, PassContext& context) {
  Value* x = input(*node, 0);
  bool changed = false;
  const std::vector<ir::Use> uses = node->outputs[0]->uses;
  for (const ir::Use& use : uses) {
    const opdef::OpDef* op = context.op(*use.node);
    if (!op || op->kind != opdef::FusionKind::kElementwise || use.node->outputs.size() != 1 ||
        op->name == "PRelu")  // its slope broadcasts one way only
      continue;
    Shape others = x->type.shape;
    bool known = true;
    for (size_t i = 0; known && i < use.node->inputs.size(); ++i) {
      const Value* v = use.node->inputs[i];
      if (!v || int(i) == use.index) continue;
      auto wider = broadcast(others, v->type.shape);
      if (wider) others = std::move(*wider);
      else known = false;
    }
    if (!known || !(others == use.node->outputs[0]->type.shape)) continue;
    graph.set_input(use.node, use.index, x);
    context.count("simplify_views/expand");
    changed = true;
  }
  if (changed) erase_unused(graph, node);
  return changed;
}

}  // namespace

Result<bool> simplify_views(Graph& graph, PassContext& context) {
  bool changed = false;
  // Erasing reaches upstream only, where the walk has been already.
  for (auto it = graph.nodes().begin(); it != graph.nodes().end();) {
    Node* node = it->get();
    ++it;
    if (node->op == "Expand" && input(*node, 0)) {
      changed |= pass_expand_by(graph, node, context);
    } else if (is_view(*node)) {
      PLANISH_ASSIGN_OR_RETURN(bool simpler, simplify(graph, node, context));
      changed |= simpler;
    }
  }
  return changed;
}

}  // namespace planish::passes
