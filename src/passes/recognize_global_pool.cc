// recognize_global_pool: a mean or maximum over all spatial dims, spelled as a reduction or as a pool
// whose window is the whole image, is GlobalAveragePool or GlobalMaxPool; dropped dims become a view.
#include <algorithm>

#include "passes/passes.h"
#include "passes/rewrite.h"

namespace planish::passes {
namespace {

bool reduces_space(const Node& node) {
  const int rank = node.inputs[0]->type.rank();
  if (rank < 4) return false;
  auto axes = ints_input(node, 1);
  if (!axes || int(axes->size()) != rank - 2) return false;
  for (int64_t& a : *axes) a = a < 0 ? a + rank : a;
  std::sort(axes->begin(), axes->end());
  for (size_t i = 0; i < axes->size(); ++i)
    if ((*axes)[i] != int64_t(i) + 2) return false;
  return true;
}

bool window_is_image(const Node& node) {
  const Shape& shape = node.inputs[0]->type.shape;
  const std::vector<int64_t> kernel = ints_attr(node, "kernel_shape");
  if (node.outputs.size() != 1 || shape.size() < 4 || kernel.size() + 2 != shape.size() ||
      string_attr(node, "auto_pad", "NOTSET") == "SAME_UPPER" ||
      string_attr(node, "auto_pad", "NOTSET") == "SAME_LOWER")
    return false;
  for (size_t i = 0; i < kernel.size(); ++i)
    if (!(shape[i + 2] == Dim(kernel[i]))) return false;
  for (const char* key : {"pads", "dilations"})
    for (int64_t v : ints_attr(node, key))
      if (v != (std::string_view(key) == "pads" ? 0 : 1)) return false;
  return true;
}

}  // namespace

Result<bool> recognize_global_pool(Graph& graph, PassContext& context) {
  bool changed = false;
  for (auto it = graph.nodes().begin(); it != graph.nodes().end();) {
    Node* node = it->get();
    ++it;
    const bool mean = node->op == "ReduceMean" || node->op == "AveragePool";
    const bool reduction = node->op == "ReduceMean" || node->op == "ReduceMax";
    if (!reduction && node->op != "AveragePool" && node->op != "MaxPool") continue;
    if (!ir::is_float(node->inputs[0]->type.dtype)) continue;
    if (!(reduction ? reduces_space(*node) : window_is_image(*node))) continue;
    PLANISH_ASSIGN_OR_RETURN(
        Value * pooled, add_op(graph, context, mean ? "GlobalAveragePool" : "GlobalMaxPool",
                               {node->inputs[0]}, {}, node));
    if (reduction && int_attr(*node, "keepdims", 1) == 0) {
      PLANISH_ASSIGN_OR_RETURN(pooled,
                               add_op(graph, context, "Reshape",
                                      {pooled, add_ints(graph, {0, 0}, "shape")},
                                      {{"allowzero", int64_t(0)}}, node));
    }
    replace(graph, node->outputs[0], pooled);
    erase_unused(graph, node);
    context.count("recognize_global_pool");
    changed = true;
  }
  return changed;
}

}  // namespace planish::passes
