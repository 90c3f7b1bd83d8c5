#include "passes/function_match.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "opdef/infer.h"

namespace planish::passes {
namespace {

using kernel::ScalarOp;

constexpr size_t kMaxCluster = 16;

class Cluster {
 public:
  Cluster(Graph& graph, PassContext& context, const std::unordered_map<const Node*, int>& position)
      : graph_(graph), context_(context), position_(position) {}

  // Grows upwards from `root` until it is a function of one value that the pattern knows.
  std::optional<std::pair<NamedFunction, Value*>> match(Node* root, const FunctionPattern& pattern) {
    if (!add(root)) return std::nullopt;
    while (nodes_.size() < kMaxCluster) {
      if (nodes_.size() > 1 && frontier_.size() == 1) {
        Value* x = frontier_.begin()->second;
        if (auto found = test(root, x, pattern)) return std::pair(std::move(*found), x);
      }
      if (frontier_.empty()) return std::nullopt;
      // The latest one: no other open value can depend on it.
      auto last = std::prev(frontier_.end());
      Node* before = last->second->producer;
      if (!before) return std::nullopt;
      frontier_.erase(last);
      if (!add(before)) return std::nullopt;
    }
    return std::nullopt;
  }

  const std::vector<Node*>& nodes() const { return nodes_; }

 private:
  bool add(Node* node) {
    if (!is_elementwise(context_, *node)) return false;
    for (Value* v : node->inputs) {
      if (!v) continue;
      if (v->constant) {
        if (v->constant->count() != 1) return false;
        continue;
      }
      frontier_[{v->producer ? position_.at(v->producer) : -1, v->id}] = v;
    }
    nodes_.push_back(node);
    return true;
  }

  // Nobody outside reads a value inside (but the root's result).
  bool is_closed(const Node* root) const {
    const std::set<const Node*> inside(nodes_.begin(), nodes_.end());
    for (const Node* node : nodes_) {
      if (node == root) continue;
      const Value* v = node->outputs[0];
      if (is_pinned(graph_, v)) return false;
      for (const ir::Use& use : v->uses)
        if (!inside.count(use.node)) return false;
    }
    return true;
  }

  std::optional<kernel::Expr> expression(const Node* root, const Value* x) const {
    kernel::ExprBuilder builder;
    std::unordered_map<const Value*, int> at = {{x, builder.arg(0, x->type.dtype)}};
    std::vector<Node*> ordered = nodes_;
    std::sort(ordered.begin(), ordered.end(),
              [&](Node* a, Node* b) { return position_.at(a) < position_.at(b); });
    for (const Node* node : ordered) {
      std::vector<std::optional<DataType>> types;
      std::vector<int> args;
      for (const Value* v : node->inputs) {
        types.push_back(v ? std::optional<DataType>(v->type.dtype) : std::nullopt);
        if (!v) {
          args.push_back(-1);
        } else if (v->constant) {
          args.push_back(ir::is_float(v->type.dtype)
                             ? builder.imm(v->constant->f64(0), v->type.dtype)
                             : builder.imm_int(v->constant->i64(0), v->type.dtype));
        } else {
          args.push_back(at.at(v));
        }
      }
      auto expr = opdef::expression_of(*context_.op(*node), node->attrs, types,
                                       node->outputs[0]->type.dtype);
      if (!expr.ok()) return std::nullopt;
      at[node->outputs[0]] = builder.inline_expr(*expr, args)[0];
    }
    return builder.finish({at.at(root->outputs[0])}, 1);
  }

  std::optional<NamedFunction> test(const Node* root, const Value* x,
                                    const FunctionPattern& pattern) const {
    const Value* y = root->outputs[0];
    if (!(x->type.shape == y->type.shape) || x->type.dtype != y->type.dtype ||
        !ir::is_float(x->type.dtype))
      return std::nullopt;
    const auto expr = expression(root, x);
    if (!expr) return std::nullopt;
    const bool marked = std::any_of(expr->nodes.begin(), expr->nodes.end(), [&](const auto& n) {
      return std::find(pattern.marks.begin(), pattern.marks.end(), n.op) != pattern.marks.end();
    });
    if (!marked || !is_closed(root)) return std::nullopt;
    const RealFunction sampled = [&](double at) {
      kernel::ScalarValue in, out;
      in.f = at;
      kernel::evaluate(*expr, std::span(&in, 1), std::span(&out, 1), true);
      return out.f;
    };
    auto candidate = pattern.guess(sampled);
    if (!candidate || !context_.registry.find(candidate->op)) return std::nullopt;
    // Constants of sources carry five digits and more.
    static constexpr double kPoints[] = {0,    1e-3, 0.01, 0.1, 0.25, 0.5, 0.75, 1,  1.25, 1.5,
                                         1.75, 2,    2.25, 2.5, 2.75, 3,   3.25, 3.5, 4,   5,
                                         6,    7,    8,    10,  15,   20,  30,   60, 100,  1000};
    for (double p : kPoints) {
      for (double at : {p, -p}) {
        const double got = sampled(at), expected = candidate->value(at);
        if (!(std::fabs(got - expected) <= 3e-6 * std::max(1.0, std::fabs(at)))) return std::nullopt;
      }
    }
    return candidate;
  }

  Graph& graph_;
  PassContext& context_;
  const std::unordered_map<const Node*, int>& position_;
  std::vector<Node*> nodes_;
  std::map<std::pair<int, int>, Value*> frontier_;  // by position of the producer, then id
};

// The last scalar operation of a node; every pattern's function ends in a product or quotient.
bool ends_in_product(const Node& node, const PassContext& context) {
  std::vector<std::optional<DataType>> types;
  for (const Value* v : node.inputs)
    types.push_back(v ? std::optional<DataType>(v->type.dtype) : std::nullopt);
  auto expr = opdef::expression_of(*context.op(node), node.attrs, types,
                                   node.outputs[0]->type.dtype);
  if (!expr.ok()) return false;
  const ScalarOp op = expr->nodes[size_t(expr->outputs[0])].op;
  return op == ScalarOp::kMul || op == ScalarOp::kDiv;
}

}  // namespace

Result<bool> match_functions(Graph& graph, PassContext& context, const FunctionPattern& pattern) {
  std::vector<Node*> order;
  std::unordered_map<const Node*, int> position;
  for (const auto& node : graph.nodes()) {
    position[node.get()] = int(order.size());
    order.push_back(node.get());
  }
  std::set<const Node*> gone;
  bool changed = false;
  for (size_t i = order.size(); i-- > 0;) {
    Node* root = order[i];
    if (gone.count(root) || root->inputs.size() != 2 || !is_elementwise(context, *root) ||
        !ends_in_product(*root, context))
      continue;
    Cluster cluster(graph, context, position);
    auto found = cluster.match(root, pattern);
    if (!found) continue;
    PLANISH_ASSIGN_OR_RETURN(Value * y, add_op(graph, context, found->first.op, {found->second},
                                               found->first.attrs, root));
    for (const Node* node : cluster.nodes()) {
      if (node != root) add_sources(*y->producer, *node);
      gone.insert(node);
    }
    position[y->producer] = int(i);
    replace(graph, root->outputs[0], y);
    erase_unused(graph, root);
    context.count(pattern.pass);
    changed = true;
  }
  return changed;
}

}  // namespace planish::passes
