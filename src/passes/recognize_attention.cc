// recognize_attention: softmax(scale * Q K^T + mask) V spelled in small ops is Attention. Heads that
// are split by Reshape and Transpose before and merged by their opposites behind become attributes
// (operands of rank 3), so that nothing is moved in memory; otherwise the operands stay of rank 4.
// Whatever lies between is read by nobody else, or nothing happens.
#include <cmath>

#include "passes/passes.h"
#include "passes/rewrite.h"

namespace planish::passes {
namespace {

using Perm = std::vector<int64_t>;

struct Match {
  Node* softmax = nullptr;
  Node* weighted = nullptr;  // softmax times V
  Value *q = nullptr, *k = nullptr, *v = nullptr;  // [b, h, s, d] each, k untransposed or
  Value* k_transposed = nullptr;                   // [b, h, d, s] as found
  Value* mask = nullptr;       // added to the scores, or
  Value* condition = nullptr;  // where it holds (or, inverted, does not), `hidden` replaces them
  Value* hidden = nullptr;
  bool inverted = false;
  double scale = 1;
};

Node* transpose_by(const Value* v, const Perm& perm) {
  Node* node = producer_of(v, "Transpose");
  return node && ints_attr(*node, "perm") == perm ? node : nullptr;
}

// Takes scalar factors off a value that nobody else reads.
Value* unscaled(const Graph& graph, Value* v, double& scale) {
  for (;;) {
    Node* node = v->producer;
    if (!node || node->inputs.size() != 2 || !used_once(graph, v)) return v;
    const auto second = scalar_of(input(*node, 1)), first = scalar_of(input(*node, 0));
    if (node->op == "Mul" && (second || first)) {
      scale *= second ? *second : *first;
      v = node->inputs[second ? 0 : 1];
    } else if (node->op == "Div" && second && *second != 0) {
      scale /= *second;
      v = node->inputs[0];
    } else {
      return v;
    }
  }
}

// A mask over (batch, heads, queries, keys) that names every key.
bool is_mask(const Value* mask, const Value* scores) {
  return mask->type.rank() >= 2 && mask->type.rank() <= 4 &&
         mask->type.shape.back() == scores->type.shape.back();
}

// Where(condition, scores, hidden) with a constant so low that adding it to any score gives itself:
// the same as a mask of 0 and `hidden`.
Value* visible_scores(const Graph& graph, Value* v, Match& m) {
  Node* where = producer_of(v, "Where");
  if (!where || !used_once(graph, v)) return v;
  for (int i = 1; i <= 2; ++i) {
    const auto low = scalar_of(input(*where, i));
    Value* scores = input(*where, 3 - i);
    if (!low || !(*low <= -1e8) || !(scores->type.shape == v->type.shape) ||
        !is_mask(where->inputs[0], v))
      continue;
    m.condition = where->inputs[0];
    m.hidden = where->inputs[size_t(i)];
    m.inverted = i == 1;
    return scores;
  }
  return v;
}

// The product of queries and keys behind the softmax: scaled, with an additive mask or without.
bool match_scores(const Graph& graph, Value* scores, Match& m) {
  if (!used_once(graph, scores)) return false;
  scores = visible_scores(graph, scores, m);
  scores = unscaled(graph, scores, m.scale);
  if (!used_once(graph, scores)) return false;
  if (Node* add = producer_of(scores, "Add")) {
    if (m.scale != 1 || m.condition) return false;  // a scaled mask, or two
    for (int i = 0; i < 2; ++i) {
      Value* product = input(*add, i);
      Value* mask = input(*add, 1 - i);
      double scale = 1;
      Value* inner = unscaled(graph, product, scale);
      if (!producer_of(inner, "MatMul") || !used_once(graph, inner) ||
          !(product->type.shape == scores->type.shape) || !is_mask(mask, scores) ||
          mask->type.dtype != scores->type.dtype)
        continue;
      m.mask = mask;
      m.scale = scale;
      scores = inner;
      break;
    }
    if (!m.mask) return false;
  }
  Node* product = producer_of(scores, "MatMul");
  if (!product || product->inputs[0]->type.rank() != 4 || product->inputs[1]->type.rank() != 4)
    return false;
  m.q = unscaled(graph, product->inputs[0], m.scale);
  m.k_transposed = unscaled(graph, product->inputs[1], m.scale);
  return used_once(graph, m.k_transposed);
}

std::optional<Match> match(const Graph& graph, Node* softmax) {
  Match m;
  m.softmax = softmax;
  Value* probabilities = softmax->outputs[0];
  const int64_t axis = int_attr(*softmax, "axis", -1);
  if (probabilities->type.rank() != 4 || (axis != -1 && axis != 3) ||
      !used_once(graph, probabilities) || probabilities->uses[0].index != 0)
    return std::nullopt;
  m.weighted = probabilities->uses[0].node;
  if (m.weighted->op != "MatMul" || m.weighted->inputs[1]->type.rank() != 4) return std::nullopt;
  m.v = m.weighted->inputs[1];
  if (!match_scores(graph, softmax->inputs[0], m)) return std::nullopt;
  // Batch and heads alike in all three; anything else broadcasts in ways Attention does not.
  const Shape &q = m.q->type.shape, &k = m.k_transposed->type.shape, &v = m.v->type.shape;
  for (size_t i = 0; i < 2; ++i)
    if (!(q[i] == k[i]) || !(q[i] == v[i])) return std::nullopt;
  return m;
}

// [b, s, h, d] -> [b, h, s, d] of a Reshape from [b, s, h * d]: the operand of rank 3.
Value* merged_heads(const Graph& graph, const Value* v, const Perm& perm) {
  Node* transpose = transpose_by(v, perm);
  if (!transpose || !used_once(graph, v)) return nullptr;
  Node* reshape = producer_of(transpose->inputs[0], "Reshape");
  if (!reshape || !used_once(graph, transpose->inputs[0])) return nullptr;
  const Shape &in = reshape->inputs[0]->type.shape, &out = reshape->outputs[0]->type.shape;
  if (in.size() != 3 || out.size() != 4 || !(in[0] == out[0]) || !(in[1] == out[1]) ||
      !out[2].is_constant())
    return nullptr;
  return reshape->inputs[0];
}

// The Reshape to [b, s, h * d] behind a Transpose of the result, when nobody else reads it.
Node* merging_reshape(const Graph& graph, const Value* y) {
  if (!used_once(graph, y)) return nullptr;
  Node* transpose = y->uses[0].node;
  if (transpose->op != "Transpose" || ints_attr(*transpose, "perm") != Perm{0, 2, 1, 3}) return nullptr;
  const Value* moved = transpose->outputs[0];
  if (!used_once(graph, moved) || moved->uses[0].node->op != "Reshape" || moved->uses[0].index != 0)
    return nullptr;
  Node* reshape = moved->uses[0].node;
  const Shape &in = moved->type.shape, &out = reshape->outputs[0]->type.shape;
  if (out.size() != 3 || !(in[0] == out[0]) || !(in[1] == out[1])) return nullptr;
  return reshape;
}

void add_all_sources(Node& into, const Match& m) {
  for (const Value* v : {m.softmax->inputs[0], m.q, m.k_transposed, m.v})
    if (v->producer) add_sources(into, *v->producer);
  add_sources(into, *m.softmax);
}

Result<bool> apply(Graph& graph, const Match& m, PassContext& context) {
  const Perm split = {0, 2, 1, 3}, split_and_turn = {0, 2, 3, 1}, turn = {0, 1, 3, 2};
  Value* y = m.weighted->outputs[0];
  // K^T may be one transpose from [b, s, h, d], or two.
  Node* turned = transpose_by(m.k_transposed, turn);
  Value* k3 = merged_heads(graph, m.k_transposed, split_and_turn);
  if (!k3 && turned) k3 = merged_heads(graph, turned->inputs[0], split);
  Value* q3 = merged_heads(graph, m.q, split);
  Value* v3 = merged_heads(graph, m.v, split);
  Node* behind = merging_reshape(graph, y);
  const auto heads = m.q->type.shape[1].constant();
  Attributes attrs = {{"scale", m.scale}};
  std::vector<Value*> inputs;
  Node* last = m.weighted;
  if (q3 && k3 && v3 && behind && heads) {
    attrs["q_num_heads"] = *heads;
    attrs["kv_num_heads"] = *heads;
    inputs = {q3, k3, v3};
    last = behind;
  } else {
    Value* k = turned ? turned->inputs[0] : nullptr;
    if (Node* both = transpose_by(m.k_transposed, split_and_turn); !k && both) {
      PLANISH_ASSIGN_OR_RETURN(k, add_op(graph, context, "Transpose", {both->inputs[0]},
                                         {{"perm", split}}, m.weighted));
    }
    if (!k) return false;
    inputs = {m.q, k, m.v};
  }
  if (m.mask) inputs.push_back(m.mask);
  if (m.condition) {
    Value* zero = add_scalar(graph, 0, m.hidden->type.dtype, "visible");
    PLANISH_ASSIGN_OR_RETURN(
        Value * mask, add_op(graph, context, "Where",
                             m.inverted ? std::vector<Value*>{m.condition, m.hidden, zero}
                                        : std::vector<Value*>{m.condition, zero, m.hidden},
                             {}, last));
    inputs.push_back(mask);
  }
  PLANISH_ASSIGN_OR_RETURN(Node * attention, add_node(graph, context, "Attention", inputs,
                                                      std::move(attrs), last));
  if (!(attention->outputs[0]->type.shape == last->outputs[0]->type.shape)) {
    erase_unused(graph, attention);
    return false;
  }
  add_all_sources(*attention, m);
  replace(graph, last->outputs[0], attention->outputs[0]);
  erase_unused(graph, last);
  context.count("recognize_attention");
  return true;
}

}  // namespace

Result<bool> recognize_attention(Graph& graph, PassContext& context) {
  if (!context.registry.find("Attention")) return false;
  std::vector<Node*> found;
  for (const auto& node : graph.nodes())
    if (node->op == "Softmax") found.push_back(node.get());
  bool changed = false;
  for (Node* softmax : found) {
    const auto m = match(graph, softmax);
    if (!m) continue;
    PLANISH_ASSIGN_OR_RETURN(bool done, apply(graph, *m, context));
    changed |= done;
  }
  return changed;
}

}  // namespace planish::passes
