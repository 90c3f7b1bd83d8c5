// fold_pad: a Pad of spatial dims goes into the convolution or pool that alone reads it. Zeros go into
// Conv, and into AveragePool as counted padding; MaxPool pads with minus infinity by itself, which
// also does for zeros in front of operands that are never negative.
#include <cmath>

#include "passes/passes.h"
#include "passes/rewrite.h"

namespace planish::passes {
namespace {

// pads (begin..., end...) over the spatial dims; nullopt when others are padded or some negative.
std::optional<std::vector<int64_t>> spatial_pads(const Node& node) {
  const int rank = node.outputs[0]->type.rank();
  const auto given = ints_input(node, 1);
  if (!given || rank < 3 || string_attr(node, "mode", "constant") != "constant") return std::nullopt;
  std::vector<int64_t> axes;
  if (input(node, 3)) {
    const auto list = ints_input(node, 3);
    if (!list) return std::nullopt;
    axes = *list;
  } else {
    for (int i = 0; i < rank; ++i) axes.push_back(i);
  }
  if (given->size() != axes.size() * 2) return std::nullopt;
  const size_t spatial = size_t(rank - 2);
  std::vector<int64_t> pads(spatial * 2, 0);
  for (size_t i = 0; i < axes.size(); ++i) {
    const int64_t axis = axes[i] < 0 ? axes[i] + rank : axes[i];
    const int64_t begin = (*given)[i], end = (*given)[i + axes.size()];
    if (begin < 0 || end < 0 || axis < 0 || axis >= rank) return std::nullopt;
    if (axis < 2) {
      if (begin || end) return std::nullopt;
      continue;
    }
    pads[size_t(axis - 2)] += begin;
    pads[spatial + size_t(axis - 2)] += end;
  }
  return pads;
}

bool never_negative(const Value* v) {
  const Node* node = v->producer;
  return node && (node->op == "Relu" || node->op == "Sigmoid" || node->op == "Softplus" ||
                  (node->op == "Clip" && scalar_of(input(*node, 1)).value_or(-1) >= 0));
}

bool takes(const Node& reader, const Value* padded, double fill, const std::vector<int64_t>& pads) {
  if (reader.inputs[0] != padded || string_attr(reader, "auto_pad", "NOTSET") != "NOTSET")
    return false;
  if (reader.op == "Conv") return fill == 0;
  if (reader.op != "MaxPool" && reader.op != "AveragePool") return false;
  const std::vector<int64_t> kernel = ints_attr(reader, "kernel_shape");
  if (kernel.size() * 2 != pads.size()) return false;
  std::vector<int64_t> own = ints_attr(reader, "pads");
  own.resize(pads.size(), 0);
  for (size_t i = 0; i < pads.size(); ++i)  // no window may lie in the padding alone
    if (own[i] + pads[i] >= kernel[i % (pads.size() / 2)]) return false;
  if (int_attr(reader, "ceil_mode", 0) != 0) return false;
  if (reader.op == "MaxPool") {
    if (reader.outputs.size() > 1) return false;
    for (int64_t d : ints_attr(reader, "dilations"))
      if (d != 1) return false;
    if (fill == -INFINITY) return true;
    return fill == 0 && never_negative(padded->producer->inputs[0]);
  }
  if (reader.op == "AveragePool") {
    bool has_pads = false;
    for (int64_t p : own) has_pads |= p != 0;
    return fill == 0 && (!has_pads || int_attr(reader, "count_include_pad", 0) != 0);
  }
  return false;
}

}  // namespace

Result<bool> fold_pad(Graph& graph, PassContext& context) {
  bool changed = false;
  for (auto it = graph.nodes().begin(); it != graph.nodes().end();) {
    Node* node = it->get();
    ++it;
    if (node->op != "Pad" || !used_once(graph, node->outputs[0])) continue;
    Value* padded = node->outputs[0];
    Node* reader = padded->uses[0].node;
    const auto pads = spatial_pads(*node);
    const double fill = input(*node, 2) ? scalar_of(input(*node, 2)).value_or(NAN) : 0;
    if (!pads || !takes(*reader, padded, fill, *pads)) continue;
    std::vector<int64_t> sum = ints_attr(*reader, "pads");
    sum.resize(pads->size(), 0);
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += (*pads)[i];
    reader->attrs["pads"] = std::move(sum);
    if (reader->op == "AveragePool") reader->attrs["count_include_pad"] = int64_t(1);
    graph.set_input(reader, 0, node->inputs[0]);
    add_sources(*reader, *node);
    erase_unused(graph, node);
    context.count("fold_pad");
    changed = true;
  }
  return changed;
}

}  // namespace planish::passes
