// TopK: the k greatest (or least) elements along an axis with their positions, always sorted; equal
// elements stand in the order of their positions, NaN counts as greatest.
#include <algorithm>
#include <numeric>

#include "base/text.h"
#include "ops/composer.h"
#include "ops/dims.h"
#include "ops/lines.h"
#include "ops/numeric.h"
#include "opdef/import.h"

namespace planish::ops {
namespace {

using opdef::EvalContext;
using opdef::ImportContext;
using opdef::kNumbers;
using opdef::NodeView;

Status infer_top_k(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 0, 1));
  PLANISH_RETURN_IF_ERROR(check_single(ctx, 1));
  PLANISH_ASSIGN_OR_RETURN(int axis, ctx.axis("axis", ctx.rank(0)));
  Shape out = ctx.shape(0);
  Dim& length = out[size_t(axis)];
  std::optional<std::vector<Dim>> k = ctx.content(1);
  if (k && k->size() == 1) {
    const Dim& count = (*k)[0];
    bool too_many = count.is_constant() && length.is_constant() && count.value() > length.value();
    if ((count.is_constant() && count.value() < 0) || too_many)
      return invalid_argument(cat("input 1 (K): got ", count.to_string(), ", expected 0 to ",
                                  length.to_string()));
    length = count;
  } else {
    length = data_dim(ctx, "top_k", length);
  }
  ctx.set_output(0, ctx.dtype(0), out);
  ctx.set_output(1, DataType::kI64, std::move(out));
  return ok_status();
}

Status evaluate_top_k(EvalContext& ctx) {
  const Tensor& x = ctx.input(0);
  int64_t at = ctx.attr_int("axis");
  int axis = int(at < 0 ? at + x.rank() : at);
  Lines from = lines_of(x.dims(), axis), to = lines_of(ctx.output_dims(0), axis);
  bool largest = ctx.attr_int("largest") != 0;
  std::vector<int64_t> indices(size_t(to.count() * to.length));
  with_values(x, [&](const auto& values) {
    using T = typename std::decay_t<decltype(values)>::value_type;
    std::vector<T> out(indices.size());
    std::vector<int64_t> order(static_cast<size_t>(from.length));
    for (int64_t l = 0; l < from.count(); ++l) {
      const T* line = values.data() + from.start(l);
      auto before = [&](int64_t a, int64_t b) {
        T x_a = line[a * from.step()], x_b = line[b * from.step()];
        if (largest ? less_nan_last(x_b, x_a) : less_nan_last(x_a, x_b)) return true;
        if (largest ? less_nan_last(x_a, x_b) : less_nan_last(x_b, x_a)) return false;
        return a < b;
      };
      std::iota(order.begin(), order.end(), int64_t(0));
      std::partial_sort(order.begin(), order.begin() + to.length, order.end(), before);
      for (int64_t i = 0; i < to.length; ++i) {
        size_t slot = size_t(to.start(l) + i * to.step());
        indices[slot] = order[size_t(i)];
        out[slot] = line[order[size_t(i)] * from.step()];
      }
    }
    assign(ctx.output(0), out);
  });
  if (ctx.output_count() > 1) ctx.output(1).assign_i64(indices);
  return ok_status();
}

Status import_top_k_1(const NodeView& node, ImportContext& ctx) {
  if (!node.has_attr("k")) return invalid_argument("required attribute 'k' is missing");
  PLANISH_ASSIGN_OR_RETURN(int64_t k, node.attr_int("k", 0));
  PLANISH_ASSIGN_OR_RETURN(int64_t axis, node.attr_int("axis", -1));
  if (!node.has_input(0)) return invalid_argument("input 0 (X) is missing");
  PLANISH_ASSIGN_OR_RETURN(
      auto outputs, ctx.add("TopK", {node.input(0), ctx.constant_i64({k})}, {{"axis", axis}}, 2));
  ctx.set_output(0, outputs[0]);
  if (node.output_count() > 1) ctx.set_output(1, outputs[1]);
  return ok_status();
}

Status import_tensorflow(const opdef::NodeView& node, opdef::ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value* x = c.in(0);
  ir::Value* k = node.op_type() == "TopK" ? c.ints({c.attr_int("k", 0)}) : c.i64_list(c.in(1));
  const auto found = c.ops("TopK", {x, k}, {{"sorted", c.attr_int("sorted", 1)}}, 2);
  return c.finish({found[0], c.cast(found[1], c.attr_type("index_type", DataType::kI32))});
}

// The element that would stand at place n if the last dim were sorted.
Status import_nth_element(const opdef::NodeView& node, opdef::ImportContext& ctx) {
  Composer c(node, ctx);
  const int64_t n = c.need_one(1, "n");
  const auto found = c.ops("TopK", {c.in(0), c.ints({n + 1})}, {{"largest", c.attr_int("reverse", 0)}}, 2);
  return c.finish({c.gather(found[0], n, -1)});
}

// Whether fewer than k classes of the row score more than its target.
Status import_in_top_k(const opdef::NodeView& node, opdef::ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value *scores = c.in(0), *target = c.unsqueeze(c.i64(c.in(1)), {1});
  ir::Value* k = node.op_type() == "InTopK" ? c.constant(Tensor::scalar_i64(c.attr_int("k", 0)))
                                            : c.i64(c.in(2));
  ir::Value* own = c.op("GatherElements", {scores, target}, {{"axis", int64_t(1)}});
  ir::Value* above = c.cast(c.op("Greater", {scores, own}), DataType::kI64);
  return c.finish({c.op("Less", {c.reduce("ReduceSum", above, {1}, false), k})});
}

}  // namespace

void register_top_k(opdef::OpRegistry& registry) {
  opdef::OpDef def;
  def.name = "TopK";
  def.doc = "The K greatest or least elements along the axis, sorted, and their positions.";
  def.inputs = {operand("X", kNumbers, "operand"), operand("K", opdef::kInt64, "how many", "")};
  def.outputs = {operand("Values", kNumbers, "elements"),
                 operand("Indices", opdef::kInt64, "positions along the axis", "I")};
  def.attrs = {opdef::int_attr("axis", -1, "that is searched"),
               opdef::int_attr("largest", 1, "0: the least ones"),
               opdef::int_attr("sorted", 1, "0: any order would do")};
  def.host_inputs = 1u << 1;
  def.infer = infer_top_k;
  def.evaluate = evaluate_top_k;
  def.onnx = {{"TopK", "", 1, 9, import_top_k_1}, {"TopK", "", 10, 1 << 30, nullptr}};
  def.tensorflow = {tensorflow("TopK", import_tensorflow), tensorflow("TopKV2", import_tensorflow),
                    tensorflow("NthElement", import_nth_element),
                    tensorflow("InTopK", import_in_top_k), tensorflow("InTopKV2", import_in_top_k)};
  registry.add(std::move(def));
}

}  // namespace planish::ops
