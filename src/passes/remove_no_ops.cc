// remove_no_ops: nodes that hand an operand through unchanged. Elementwise ops are asked through
// their expression with constant scalars put in (Identity, Cast to the same type, x + 0, x * 1,
// Max of one); ops that move elements through their shapes (Transpose by the identity, Pad by
// nothing, Slice of everything, Concat of one, Expand to the same dims); pools through their window.
#include <algorithm>

#include "opdef/infer.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace planish::passes {
namespace {

using kernel::ExprNode;
using kernel::ScalarOp;

bool same_shape(const Value* a, const Value* b) {
  return a && b && a->type.shape == b->type.shape && a->type.dtype == b->type.dtype;
}

// Finds the argument that an expression node passes on, through x + 0, x * 1 and their like.
// Integers and floats alike; -0 + 0 giving +0 is taken to be nothing.
int passed_argument(const kernel::Expr& expr, int32_t at, const Node& node) {
  const auto constant = [&](int32_t i) -> std::optional<double> {
    const ExprNode& n = expr.nodes[size_t(i)];
    if (n.op == ScalarOp::kImm) return ir::is_float(n.dtype) ? n.imm : double(n.imm_int);
    if (n.op == ScalarOp::kArg) return scalar_of(input(node, n.a));
    return std::nullopt;
  };
  for (;;) {
    const ExprNode& n = expr.nodes[size_t(at)];
    const auto is = [&](int32_t i, double v) {
      const auto c = constant(i);
      return c && *c == v;
    };
    switch (n.op) {
      case ScalarOp::kArg: return n.a;
      case ScalarOp::kAdd:
        if (is(n.b, 0)) at = n.a;
        else if (is(n.a, 0)) at = n.b;
        else return -1;
        break;
      case ScalarOp::kMul:
        if (is(n.b, 1)) at = n.a;
        else if (is(n.a, 1)) at = n.b;
        else return -1;
        break;
      case ScalarOp::kSub:
        if (!is(n.b, 0)) return -1;
        at = n.a;
        break;
      case ScalarOp::kDiv:
      case ScalarOp::kPow:
        if (!is(n.b, 1)) return -1;
        at = n.a;
        break;
      case ScalarOp::kCast:
        if (expr.nodes[size_t(n.a)].dtype != n.dtype) return -1;
        at = n.a;
        break;
      default: return -1;
    }
  }
}

Value* passed_by_expression(const opdef::OpDef& op, const Node& node) {
  std::vector<std::optional<DataType>> types;
  for (const Value* v : node.inputs)
    types.push_back(v ? std::optional<DataType>(v->type.dtype) : std::nullopt);
  auto expr = opdef::expression_of(op, node.attrs, types, node.outputs[0]->type.dtype);
  if (!expr.ok() || expr->nodes.size() > 8) return nullptr;
  const int argument = passed_argument(*expr, expr->outputs[0], node);
  return argument < 0 ? nullptr : input(node, argument);
}

bool all_equal(const std::optional<std::vector<int64_t>>& list, int64_t value) {
  return list && std::all_of(list->begin(), list->end(), [&](int64_t v) { return v == value; });
}

bool is_identity(const std::vector<int64_t>& perm) {
  for (size_t i = 0; i < perm.size(); ++i)
    if (perm[i] != int64_t(i)) return false;
  return !perm.empty();
}

// A transpose that moves only dims of one: the order of elements stays, the shape may not.
bool keeps_order(const Node& node) {
  const std::vector<int64_t> perm = ints_attr(node, "perm");
  int64_t last = -1;
  if (perm.size() != node.inputs[0]->type.shape.size()) return false;
  for (int64_t p : perm) {
    if (node.inputs[0]->type.shape[size_t(p)] == Dim(1)) continue;
    if (p < last) return false;
    last = p;
  }
  return true;
}

Value* passed_by_shape(const Node& node) {
  Value* x = input(node, 0);
  const Value* y = node.outputs[0];
  if (node.op == "Concat" || node.op == "Split")
    return node.inputs.size() >= 1 && node.outputs.size() == 1 && same_shape(x, y) &&
                   (node.op == "Split" || node.inputs.size() == 1)
               ? x
               : nullptr;
  if (node.outputs.size() != 1 || !same_shape(x, y)) return nullptr;
  if (node.op == "Transpose")
    return is_identity(ints_attr(node, "perm")) || keeps_order(node) ? x : nullptr;
  if (node.op == "Reshape" || node.op == "Flatten" || node.op == "Squeeze" ||
      node.op == "Unsqueeze" || node.op == "Expand" || node.op == "Tile")
    return x;
  if (node.op == "Pad") return all_equal(ints_input(node, 1), 0) ? x : nullptr;
  if (node.op == "Slice") {
    const auto steps = ints_input(node, 4);
    const bool forward = !input(node, 4) || all_equal(steps, 1);
    return forward ? x : nullptr;
  }
  return nullptr;
}

bool is_trivial_pool(const Node& node) {
  if (node.op != "MaxPool" && node.op != "AveragePool") return false;
  return node.outputs.size() == 1 && same_shape(input(node, 0), node.outputs[0]) &&
         all_equal(ints_attr(node, "kernel_shape"), 1) && all_equal(ints_attr(node, "strides"), 1) &&
         all_equal(ints_attr(node, "pads"), 0);
}

// Whether every value of `from` is one of `to`.
bool holds_all(DataType to, DataType from) {
  if (to == from || from == DataType::kBool) return true;
  if (ir::bits_of(from) < 8 || ir::bits_of(to) < 8) return false;
  const auto digits = [](DataType t) {
    switch (t) {
      case DataType::kF64: return 53;
      case DataType::kF32: return 24;
      case DataType::kF16: return 11;
      case DataType::kBF16: return 8;
      default: return ir::is_integer(t) ? ir::bits_of(t) - int(ir::is_signed_int(t)) : 0;
    }
  };
  const int got = digits(to), needed = digits(from);
  if (!got || !needed || got < needed) return false;
  if (ir::is_float(from)) return to == DataType::kF64 || (to == DataType::kF32 && needed <= 11);
  // Integers into floats of enough digits, or into wider integers that keep the sign.
  return ir::is_float(to) ? to != DataType::kF16 && to != DataType::kBF16
                          : ir::is_signed_int(to) || !ir::is_signed_int(from);
}

// Cast of a Cast through a type that loses nothing reads the first operand.
bool shorten_casts(Graph& graph, Node& node) {
  if (node.op != "Cast") return false;
  Node* before = producer_of(input(node, 0), "Cast");
  if (!before || !holds_all(before->outputs[0]->type.dtype, before->inputs[0]->type.dtype))
    return false;
  graph.set_input(&node, 0, before->inputs[0]);
  erase_unused(graph, before);
  return true;
}

// Axes that are given make noop_with_empty_axes say nothing.
bool clear_axes_flag(Node& node) {
  if (int_attr(node, "noop_with_empty_axes", 0) == 0) return false;
  const auto axes = ints_input(node, 1);
  if (!axes || axes->empty()) return false;
  node.attrs["noop_with_empty_axes"] = int64_t(0);
  return true;
}

Value* passed_value(const Node& node, const PassContext& context) {
  const opdef::OpDef* op = context.op(node);
  if (!op || op->random || node.outputs.empty() || node.inputs.empty()) return nullptr;
  if (op->expression && node.outputs.size() == 1) {
    Value* x = passed_by_expression(*op, node);
    return same_shape(x, node.outputs[0]) ? x : nullptr;
  }
  if (op->kind == opdef::FusionKind::kInjective) return passed_by_shape(node);
  return is_trivial_pool(node) ? node.inputs[0] : nullptr;
}

// Members of a concat without elements go; one member alone is an Identity.
bool drop_empty_members(Graph& graph, Node& node) {
  if (node.op != "Concat" || node.inputs.size() < 2) return false;
  const int64_t rank = node.outputs[0]->type.rank();
  int64_t axis = int_attr(node, "axis", 0);
  if (axis < 0) axis += rank;
  if (axis < 0 || axis >= rank) return false;
  std::vector<Value*> kept;
  for (Value* v : node.inputs)
    if (v && !(v->type.shape[size_t(axis)] == Dim(0))) kept.push_back(v);
  if (kept.empty() || kept.size() == node.inputs.size()) return false;
  for (size_t i = node.inputs.size(); i-- > 0;) graph.set_input(&node, int(i), nullptr);
  node.inputs.clear();
  for (Value* v : kept) graph.add_operand(&node, v);
  return true;
}

}  // namespace

Result<bool> remove_no_ops(Graph& graph, PassContext& context) {
  bool changed = false;
  std::vector<Node*> order;
  for (const auto& node : graph.nodes()) order.push_back(node.get());
  for (Node* node : order) {
    if (drop_empty_members(graph, *node)) {
      context.count("remove_no_ops/empty_member");
      changed = true;
    }
    if (shorten_casts(graph, *node)) {
      context.count("remove_no_ops/cast");
      changed = true;
    }
    changed |= clear_axes_flag(*node);
    Value* x = passed_value(*node, context);
    if (!x || !can_replace(graph, node->outputs[0], x)) continue;
    replace(graph, node->outputs[0], x);
    graph.erase(node);
    context.count("remove_no_ops");
    changed = true;
  }
  return changed;
}

}  // namespace planish::passes
