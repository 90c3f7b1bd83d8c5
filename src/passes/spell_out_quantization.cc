// spell_out_quantization: QuantizeLinear whose integers only DequantizeLinear reads becomes the
// arithmetic that both stand for, in real numbers:
//
//   (clip(round(x / scale) + zero, lowest, highest) - zero) * scale
//
// Trained ranges (QAT) stay in the imported graph for builds in integers; in a build that computes in
// floats the pairs would only keep convolutions from their activations and transposes from each other,
// while the arithmetic fuses like any other. Pairs with blocks, with scales that are not constant or
// with types other than integers stay.
#include <algorithm>

#include "passes/passes.h"
#include "passes/rewrite.h"

namespace planish::passes {
namespace {

// Scale and zero point of a QuantizeLinear or DequantizeLinear, one or one per element of the axis, in
// dims that broadcast over x.
struct Grid {
  std::vector<double> scales, zeros;
  std::vector<int64_t> dims;
  bool has_zeros() const { return zeros.size() > 1 || zeros[0] != 0; }
};

std::optional<Grid> grid_of(const Node& node, int rank) {
  const Tensor *scale = constant_input(node, 1), *zero = constant_input(node, 2);
  if (!scale || scale->dtype() != DataType::kF32 || scale->rank() > 1 || scale->count() < 1 ||
      (input(node, 2) && !zero) || int_attr(node, "block_size", 0) != 0 || node.attrs.count("precision"))
    return std::nullopt;
  Grid grid;
  grid.scales = scale->f64_values();
  if (scale->count() > 1) {
    int64_t axis = int_attr(node, "axis", 1);
    if (axis < 0) axis += rank;
    if (axis < 0 || axis >= rank) return std::nullopt;
    grid.dims.assign(size_t(rank), 1);
    grid.dims[size_t(axis)] = scale->count();
  }
  grid.zeros = zero ? zero->f64_values() : std::vector<double>{0};
  const double first = grid.zeros.empty() ? 0 : grid.zeros[0];
  if (std::all_of(grid.zeros.begin(), grid.zeros.end(), [&](double z) { return z == first; }))
    grid.zeros = {first};
  else if (grid.zeros.size() != grid.scales.size())
    return std::nullopt;
  return grid;
}

Value* constant_of(Graph& graph, const std::vector<double>& values, const Grid& grid, const char* hint) {
  const std::vector<int64_t> dims = values.size() == 1 ? std::vector<int64_t>() : grid.dims;
  return graph.add_constant(graph.unique_name(hint), Tensor::from_f64(DataType::kF32, dims, values));
}

// The QuantizeLinear that a DequantizeLinear reads, when nobody else but its like does.
Node* quantizer_of(const Graph& graph, const Node& dequantize) {
  Node* node = producer_of(input(dequantize, 0), "QuantizeLinear");
  if (!node || node->inputs[0]->type.dtype != DataType::kF32 ||
      dequantize.outputs[0]->type.dtype != DataType::kF32)
    return nullptr;
  const Value* integers = node->outputs[0];
  const DataType type = integers->type.dtype;
  if (is_pinned(graph, integers) || ir::is_float(type) || ir::bits_of(type) > 16) return nullptr;
  const bool is_private = std::all_of(
      integers->uses.begin(), integers->uses.end(),
      [](const ir::Use& use) { return use.node->op == "DequantizeLinear" && use.index == 0; });
  return is_private ? node : nullptr;
}

}  // namespace

Result<bool> spell_out_quantization(Graph& graph, PassContext& context) {
  bool changed = false;
  for (auto it = graph.nodes().begin(); it != graph.nodes().end();) {
    Node* node = it->get();
    ++it;
    Node* quantize = node->op == "DequantizeLinear" ? quantizer_of(graph, *node) : nullptr;
    if (!quantize) continue;
    const int rank = quantize->inputs[0]->type.rank();
    const std::optional<Grid> from = grid_of(*quantize, rank), to = grid_of(*node, rank);
    if (!from || !to) continue;
    const auto add = [&](const char* op, std::vector<Value*> operands) {
      return add_op(graph, context, op, std::move(operands), {}, node);
    };
    const DataType type = quantize->outputs[0]->type.dtype;
    const int bits = ir::bits_of(type) - (ir::is_signed_int(type) ? 1 : 0);
    const double highest = double((int64_t(1) << bits) - 1);
    Value* low = add_scalar(graph, ir::is_signed_int(type) ? -highest - 1 : 0, DataType::kF32, "lowest");
    Value* high = add_scalar(graph, highest, DataType::kF32, "highest");
    PLANISH_ASSIGN_OR_RETURN(
        Value * y, add("Div", {quantize->inputs[0], constant_of(graph, from->scales, *from, "scale")}));
    PLANISH_ASSIGN_OR_RETURN(y, add("Round", {y}));
    if (from->has_zeros()) {
      PLANISH_ASSIGN_OR_RETURN(y, add("Add", {y, constant_of(graph, from->zeros, *from, "zero_point")}));
    }
    PLANISH_ASSIGN_OR_RETURN(y, add("Clip", {y, low, high}));
    if (to->has_zeros()) {
      PLANISH_ASSIGN_OR_RETURN(y, add("Sub", {y, constant_of(graph, to->zeros, *to, "zero_point")}));
    }
    PLANISH_ASSIGN_OR_RETURN(y, add("Mul", {y, constant_of(graph, to->scales, *to, "scale")}));
    replace(graph, node->outputs[0], y);
    erase_unused(graph, node);
    context.count("spell_out_quantization");
    changed = true;
  }
  return changed;
}

}  // namespace planish::passes
