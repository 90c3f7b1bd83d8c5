// merge_sibling_contractions: products of one operand with several constant matrices (query, key and
// value), and 1x1 convolutions of one image with equal geometry, become one with the weights joined
// along the output channels, and a Split of the result into views. A constant summand per channel
// that alone reads each of them joins as well, so that it can still fuse. Off unless
// PassOptions::merge_siblings: it pays where one of them alone is too small to fill the machine; with
// PassOptions::wide_regions only for the operands of one attention, which reads the parts in place.
#include <algorithm>
#include <cstring>
#include <map>

#include "passes/contraction.h"
#include "passes/passes.h"

namespace planish::passes {
namespace {

constexpr int64_t kMaxChannels = 8192;  // of the merged result

struct Sibling {
  Node* node;
  Node* add = nullptr;  // the bias of a MatMul
  const Tensor* bias = nullptr;
  int64_t channels = 0;
};

bool is_candidate(const Node& node) {
  const Tensor* w = constant_input(node, 1);
  if (!w || node.outputs.size() != 1) return false;
  if (node.op == "MatMul") return w->rank() == 2 && node.inputs[0]->type.rank() >= 2;
  if (node.op != "Conv" || int_attr(node, "group", 1) != 1) return false;
  for (int i = 2; i < w->rank(); ++i)
    if (w->dim(i) != 1) return false;
  return !input(node, 2) || constant_input(node, 2);
}

// Equal keys: same operand, same geometry.
std::string key_of(const Node& node) {
  const Tensor& w = *node.inputs[1]->constant;
  std::string key = node.op + std::to_string(node.inputs[0]->id) + std::string(ir::name_of(w.dtype()));
  if (node.op == "Conv") {
    for (const char* name : {"strides", "pads", "dilations"})
      for (int64_t v : ints_attr(node, name)) key += "," + std::to_string(v);
    key += string_attr(node, "auto_pad", "NOTSET") + (input(node, 2) ? "b" : "");
  }
  return key;
}

void find_bias(const Graph& graph, Sibling& s) {
  if (s.node->op == "Conv") {
    s.bias = constant_input(*s.node, 2);
    return;
  }
  const Value* y = s.node->outputs[0];
  if (!used_once(graph, y) || y->uses[0].node->op != "Add") return;
  Node* add = y->uses[0].node;
  const Tensor* bias = constant_input(*add, 1 - y->uses[0].index);
  if (!bias || bias->rank() != 1 || bias->count() != s.channels) return;
  s.add = add;
  s.bias = bias;
}

Value* last_of(const Sibling& s, bool biased) {
  return (biased && s.add ? s.add : s.node)->outputs[0];
}
bool all_biased(const std::vector<Sibling>& siblings) {
  return std::all_of(siblings.begin(), siblings.end(),
                     [](const Sibling& s) { return s.bias != nullptr; });
}

// Equal parts that are queries, keys or values of one attention, heads side by side, and nothing else.
bool feed_one_attention(const Graph& graph, const std::vector<Sibling>& siblings) {
  const Node* reader = nullptr;
  for (const Sibling& s : siblings) {
    const Value* v = last_of(s, all_biased(siblings));
    if (!used_once(graph, v) || v->type.rank() != 3 || v->uses[0].index > 2 ||
        v->uses[0].node->op != "Attention" || s.channels != siblings[0].channels ||
        (reader && reader != v->uses[0].node))
      return false;
    reader = v->uses[0].node;
  }
  return true;
}

Tensor joined(const std::vector<const Tensor*>& parts, int axis) {
  std::vector<int64_t> dims = parts[0]->dims();
  dims[size_t(axis)] = 0;
  for (const Tensor* t : parts) dims[size_t(axis)] += t->dim(axis);
  int64_t outer = 1, inner = 1;
  for (int i = 0; i < axis; ++i) outer *= dims[size_t(i)];
  for (size_t i = size_t(axis) + 1; i < dims.size(); ++i) inner *= dims[i];
  const int64_t element = ir::bits_of(parts[0]->dtype()) / 8;
  Tensor out(parts[0]->dtype(), dims);
  auto* to = static_cast<std::byte*>(out.mutable_data());
  for (int64_t o = 0; o < outer; ++o)
    for (const Tensor* t : parts) {
      const int64_t row = t->dim(axis) * inner * element;
      std::memcpy(to, static_cast<const std::byte*>(t->data()) + o * row, size_t(row));
      to += row;
    }
  return out;
}

Result<bool> merge(Graph& graph, std::vector<Sibling>& siblings, PassContext& context) {
  Node* first = siblings[0].node;
  const bool conv = first->op == "Conv";
  const bool biased = all_biased(siblings);
  std::vector<const Tensor*> weights, biases;
  std::vector<int64_t> sizes;
  int64_t total = 0;
  for (const Sibling& s : siblings) {
    weights.push_back(&*s.node->inputs[1]->constant);
    if (biased) biases.push_back(s.bias);
    sizes.push_back(s.channels);
    total += s.channels;
  }
  if (total > kMaxChannels) return false;
  std::vector<Value*> inputs = {
      first->inputs[0],
      graph.add_constant(first->inputs[1]->name + "_merged", joined(weights, conv ? 0 : 1))};
  Value* bias = biased ? graph.add_constant("bias_merged", joined(biases, 0)) : nullptr;
  if (conv && bias) inputs.push_back(bias);
  PLANISH_ASSIGN_OR_RETURN(Node * merged, add_node(graph, context, first->op, std::move(inputs),
                                                   first->attrs, first));
  for (const Sibling& s : siblings) add_sources(*merged, *s.node);
  Value* y = merged->outputs[0];
  if (!conv && bias) {
    PLANISH_ASSIGN_OR_RETURN(y, add_op(graph, context, "Add", {y, bias}, {}, first));
  }
  const int64_t axis = conv ? 1 : y->type.rank() - 1;
  PLANISH_ASSIGN_OR_RETURN(
      Node * split, add_node(graph, context, "Split", {y, add_ints(graph, sizes, "split")},
                             {{"axis", axis}}, first, int(siblings.size())));
  for (size_t i = 0; i < siblings.size(); ++i) {
    Value* last = last_of(siblings[i], biased);
    replace(graph, last, split->outputs[i]);
    erase_unused(graph, last->producer);
  }
  context.count("merge_sibling_contractions");
  return true;
}

}  // namespace

Result<bool> merge_sibling_contractions(Graph& graph, PassContext& context) {
  if (!context.options.merge_siblings && !context.options.wide_regions) return false;
  std::map<std::string, std::vector<Sibling>> groups;
  for (const auto& node : graph.nodes()) {
    if (!is_candidate(*node)) continue;
    const Tensor& w = *node->inputs[1]->constant;
    Sibling s{node.get()};
    s.channels = node->op == "Conv" ? w.dim(0) : w.dim(1);
    find_bias(graph, s);
    groups[key_of(*node)].push_back(s);
  }
  bool changed = false;
  for (auto& [key, siblings] : groups) {
    if (siblings.size() < 2 || siblings.size() > 16) continue;
    if (!context.options.merge_siblings && !feed_one_attention(graph, siblings)) continue;
    PLANISH_ASSIGN_OR_RETURN(bool done, merge(graph, siblings, context));
    changed |= done;
  }
  return changed;
}

}  // namespace planish::passes
