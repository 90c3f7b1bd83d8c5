// propagate_transposes: transposes sink towards the outputs, through ops that do not care about the
// order of dims (elementwise, Concat, Split, Pad, reductions, softmax), so that pairs meet and
// cancel; what remains disappears in a constant or in a Gemm's flag. A transpose passes an op only
// when that makes no more transposes than there were: every other operand is transposed alike, a
// constant, or a view when transposed (only its dims of one change places).
#include <algorithm>

#include "passes/passes.h"
#include "passes/rewrite.h"

namespace planish::passes {
namespace {

using Perm = std::vector<int64_t>;

Perm perm_of(const Node& node) { return ints_attr(node, "perm"); }

Perm inverse(const Perm& perm) {
  Perm out(perm.size());
  for (size_t i = 0; i < perm.size(); ++i) out[size_t(perm[i])] = int64_t(i);
  return out;
}

bool is_identity(const Perm& perm) {
  for (size_t i = 0; i < perm.size(); ++i)
    if (perm[i] != int64_t(i)) return false;
  return true;
}

class Sinker {
 public:
  Sinker(Graph& graph, PassContext& context) : graph_(graph), context_(context) {}

  Result<bool> run() {
    bool changed = false;
    // A transpose that sank stands behind; one walk takes each as far as it goes.
    for (auto it = graph_.nodes().begin(); it != graph_.nodes().end();) {
      Node* node = it->get();
      ++it;
      if (node->op == "Transpose") {
        PLANISH_ASSIGN_OR_RETURN(bool done, merge(node));
        changed |= done;
        continue;
      }
      PLANISH_ASSIGN_OR_RETURN(bool done, sink(node));
      changed |= done;
    }
    return changed;
  }

 private:
  static Node* transpose_of(const Value* v) {
    Node* node = producer_of(v, "Transpose");
    return node && !perm_of(*node).empty() ? node : nullptr;
  }

  // Transpose of a transpose is one; opposite ones are none.
  Result<bool> merge(Node* node) {
    Node* before = transpose_of(node->inputs[0]);
    const Perm outer = perm_of(*node);
    if (!before || outer.empty()) return false;
    const Perm inner = perm_of(*before);
    Perm both;
    for (int64_t p : outer) both.push_back(inner[size_t(p)]);
    Value* x = before->inputs[0];
    if (is_identity(both)) {
      if (!can_replace(graph_, node->outputs[0], x)) return false;
      replace(graph_, node->outputs[0], x);
    } else {
      PLANISH_ASSIGN_OR_RETURN(
          Value * y, add_op(graph_, context_, "Transpose", {x}, {{"perm", both}}, node));
      replace(graph_, node->outputs[0], y);
    }
    erase_unused(graph_, node);
    context_.count("propagate_transposes/merged");
    return true;
  }

  // Whether transposing moves dims of one alone: the elements stay in their order.
  static bool is_view(const ir::TensorType& type, const Perm& perm) {
    if (type.rank() != int(perm.size())) return false;
    int64_t last = -1;
    for (int64_t p : perm) {
      if (type.shape[size_t(p)] == Dim(1)) continue;
      if (p < last) return false;
      last = p;
    }
    return true;
  }

  // The transpose in front of the node whose order the node can take over, nullptr when none may
  // pass it.
  Node* passing(const Node& node, bool elementwise) const {
    Node* first = nullptr;
    for (const Value* v : node.inputs)
      if (v && !v->is_constant() && !is_single_element(v->type) && !first) first = transpose_of(v);
    if (!first) return nullptr;
    for (const Value* v : node.inputs) {
      if (!v || v->is_constant() || is_single_element(v->type)) continue;
      Node* t = transpose_of(v);
      if (!t && elementwise && is_view(v->type, inverse(perm_of(*first)))) continue;
      if (!t || perm_of(*t) != perm_of(*first)) return nullptr;
      // A transpose with other readers stays, and one more would stand behind this node.
      for (const ir::Use& use : v->uses)
        if (use.node != &node) return nullptr;
      if (is_pinned(graph_, v)) return nullptr;
    }
    return first;
  }

  Result<bool> sink(Node* node) {
    if (node->op == "Gemm") return absorb(node);
    if (node->op == "MatMul") return to_gemm(node);
    const opdef::OpDef* op = context_.op(*node);
    if (!op || op->random || node->inputs.empty()) return false;
    const bool elementwise = is_elementwise(context_, *node);
    const bool moves = node->op == "Concat" || node->op == "Softmax" || node->op == "LogSoftmax" ||
                       node->op == "Hardmax" || node->op == "Split";
    if (elementwise || moves) {
      Node* t = passing(*node, elementwise);
      if (!t) return false;
      const Perm perm = perm_of(*t);
      for (const Value* v : node->outputs)
        if (v->type.rank() != int(perm.size())) return false;
      if (node->op == "PRelu" || (moves && !axis_can_move(*node, perm))) return false;
      if (!operands_fit(*node, perm, elementwise)) return false;
      return pass_through(node, perm, elementwise);
    }
    return pass_reduction(node);
  }

  static bool axis_can_move(const Node& node, const Perm& perm) {
    const int64_t axis = int_attr(node, "axis", 0);
    return axis >= -int64_t(perm.size()) && axis < int64_t(perm.size());
  }

  // Constants of full rank are transposed back; of lower rank, ones are put in front first.
  static bool operands_fit(const Node& node, const Perm& perm, bool elementwise) {
    for (const Value* v : node.inputs) {
      if (!v || !v->is_constant() || is_single_element(v->type)) continue;
      if (!elementwise && node.op == "Split") continue;
      if (v->type.rank() > int(perm.size()) || v->constant->count() > int64_t(1) << 24) return false;
      if (!elementwise && v->type.rank() != int(perm.size())) return false;
    }
    return true;
  }

  Result<Value*> untransposed(Value* v, const Perm& perm, Node* anchor) {
    std::vector<int64_t> dims = v->constant->dims();
    dims.insert(dims.begin(), perm.size() - dims.size(), 1);
    Value* full = graph_.add_constant(v->name, v->constant->reshaped(dims));
    return add_op(graph_, context_, "Transpose", {full}, {{"perm", inverse(perm)}}, anchor);
  }

  Result<bool> pass_through(Node* node, const Perm& perm, bool elementwise) {
    std::vector<Value*> inputs;
    for (Value* v : node->inputs) {
      if (!v || (!elementwise && v->is_constant() && node->op == "Split")) {
        inputs.push_back(v);
      } else if (Node* t = v->is_constant() ? nullptr : transpose_of(v)) {
        inputs.push_back(t->inputs[0]);
      } else if (is_single_element(v->type)) {
        inputs.push_back(v);  // one element does not mind the order
      } else if (!v->is_constant()) {
        PLANISH_ASSIGN_OR_RETURN(
            Value * view, add_op(graph_, context_, "Transpose", {v}, {{"perm", inverse(perm)}}, node));
        inputs.push_back(view);
      } else {
        PLANISH_ASSIGN_OR_RETURN(Value * constant, untransposed(v, perm, node));
        inputs.push_back(constant);
      }
    }
    Attributes attrs = node->attrs;
    if (!elementwise) {
      int64_t axis = int_attr(*node, "axis", 0);
      if (axis < 0) axis += int64_t(perm.size());
      attrs["axis"] = perm[size_t(axis)];
    }
    return rebuild(node, std::move(inputs), std::move(attrs), perm);
  }

  // The node on untransposed operands, with a transpose behind each output.
  Result<bool> rebuild(Node* node, std::vector<Value*> inputs, Attributes attrs, const Perm& perm) {
    PLANISH_ASSIGN_OR_RETURN(Node * twin,
                             add_node(graph_, context_, node->op, std::move(inputs),
                                      std::move(attrs), node, int(node->outputs.size())));
    for (size_t i = 0; i < node->outputs.size(); ++i) {
      Value* from = node->outputs[i];
      if (from->uses.empty() && !is_pinned(graph_, from)) continue;
      PLANISH_ASSIGN_OR_RETURN(Value * y, add_op(graph_, context_, "Transpose", {twin->outputs[i]},
                                                 {{"perm", perm}}, node));
      replace(graph_, from, y);
    }
    erase_unused(graph_, node);
    context_.count("propagate_transposes");
    return true;
  }

  // Reductions and pads name axes; behind them, dropped axes leave the permutation.
  Result<bool> pass_reduction(Node* node) {
    const opdef::OpDef* op = context_.op(*node);
    const bool reduction = op->kind == opdef::FusionKind::kReduction && node->has_attr("keepdims") &&
                           node->has_attr("noop_with_empty_axes");
    if (!reduction && node->op != "Pad") return false;
    Node* t = transpose_of(node->inputs[0]);
    if (!t || node->outputs.size() != 1) return false;
    const bool is_last_reader = used_once(graph_, node->inputs[0]);
    const Perm perm = perm_of(*t);
    const int64_t rank = int64_t(perm.size());
    std::vector<Value*> inputs = node->inputs;
    inputs[0] = t->inputs[0];
    if (node->op == "Pad") {
      auto pads = ints_input(*node, 1);
      if (!is_last_reader || !pads || input(*node, 3) || int64_t(pads->size()) != 2 * rank) return false;
      std::vector<int64_t> moved(pads->size());
      for (int64_t i = 0; i < rank; ++i) {
        moved[size_t(perm[size_t(i)])] = (*pads)[size_t(i)];
        moved[size_t(rank + perm[size_t(i)])] = (*pads)[size_t(rank + i)];
      }
      inputs[1] = add_ints(graph_, moved, "pads");
      return rebuild(node, std::move(inputs), node->attrs, perm);
    }
    auto axes = ints_input(*node, 1);
    if (!axes || axes->empty()) return false;
    std::vector<bool> reduced(size_t(rank), false);
    for (int64_t& a : *axes) {
      if (a < 0) a += rank;
      if (a < 0 || a >= rank) return false;
      a = perm[size_t(a)];
      reduced[size_t(a)] = true;
    }
    std::sort(axes->begin(), axes->end());
    Perm behind = perm;
    if (node->attr_int("keepdims") == 0) {
      behind.clear();
      for (int64_t p : perm) {
        if (reduced[size_t(p)]) continue;
        int64_t at = 0;
        for (int64_t q = 0; q < p; ++q) at += !reduced[size_t(q)];
        behind.push_back(at);
      }
    }
    // Without one behind it there are no more transposes, whoever else reads the one in front.
    const bool is_plain = behind.empty() || is_identity(behind);
    if (!is_plain && !is_last_reader) return false;
    inputs[1] = add_ints(graph_, *axes, "axes");
    if (is_plain) return replace_plain(node, std::move(inputs));
    return rebuild(node, std::move(inputs), node->attrs, behind);
  }

  Result<bool> replace_plain(Node* node, std::vector<Value*> inputs) {
    PLANISH_ASSIGN_OR_RETURN(Value * y, add_op(graph_, context_, node->op, std::move(inputs),
                                               node->attrs, node));
    replace(graph_, node->outputs[0], y);
    erase_unused(graph_, node);
    context_.count("propagate_transposes");
    return true;
  }

  // Gemm's flags turn a transpose of a matrix into nothing.
  Result<bool> absorb(Node* node) {
    bool changed = false;
    const char* const keys[] = {"transA", "transB"};
    for (int i = 0; i < 2; ++i) {
      Node* t = transpose_of(input(*node, i));
      if (!t || perm_of(*t) != Perm{1, 0}) continue;
      graph_.set_input(node, i, t->inputs[0]);
      node->attrs[keys[i]] = int64_t(int_attr(*node, keys[i], 0) == 0);
      add_sources(*node, *t);
      erase_unused(graph_, t);
      context_.count("propagate_transposes/absorbed");
      changed = true;
    }
    return changed;
  }

  // The product of two matrices, one of them transposed, is a Gemm.
  Result<bool> to_gemm(Node* node) {
    Node* a = transpose_of(node->inputs[0]);
    Node* b = transpose_of(node->inputs[1]);
    if ((!a && !b) || node->inputs[0]->type.rank() != 2 || node->inputs[1]->type.rank() != 2)
      return false;
    PLANISH_ASSIGN_OR_RETURN(
        Node * gemm, add_node(graph_, context_, "Gemm", node->inputs,
                              {{"alpha", 1.0}, {"beta", 1.0}}, node));
    replace(graph_, node->outputs[0], gemm->outputs[0]);
    erase_unused(graph_, node);
    return absorb(gemm);
  }

  Graph& graph_;
  PassContext& context_;
};

}  // namespace

Result<bool> propagate_transposes(Graph& graph, PassContext& context) {
  return Sinker(graph, context).run();
}

}  // namespace planish::passes
