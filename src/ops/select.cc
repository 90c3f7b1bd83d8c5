// Where and Clip.
#include <limits>

#include "base/text.h"
#include "ops/color.h"
#include "ops/composer.h"
#include "ops/known_elements.h"
#include "ops/elementwise.h"
#include "opdef/import.h"

namespace planish::ops {
namespace {

using opdef::ImportContext;
using opdef::kAnyType;
using opdef::kNumbers;
using opdef::NodeView;

Status where(ExpressionContext& ctx) {
  return finish(ctx, ctx.builder().select(ctx.arg(0), ctx.arg(1), ctx.arg(2)));
}

Status infer_where(InferContext& ctx) {
  PLANISH_ASSIGN_OR_RETURN(Shape shape, broadcast_inputs(ctx));
  ctx.set_output(0, ctx.dtype(1), std::move(shape));
  map_content(ctx, [](std::span<const Dim> x) -> std::optional<Dim> {
    if (x[1] == x[2]) return x[1];
    if (!x[0].is_constant()) return std::nullopt;
    return x[0].value() ? x[1] : x[2];
  });
  return ok_status();
}

// The upper bound wins where the bounds cross.
Status clip(ExpressionContext& ctx) {
  int x = ctx.arg(0);
  if (ctx.has_arg(1)) x = ctx.builder().max(x, ctx.arg(1));
  if (ctx.has_arg(2)) x = ctx.builder().min(x, ctx.arg(2));
  return finish(ctx, x);
}

Status infer_clip(InferContext& ctx) {
  for (int i = 1; i <= 2; ++i) {
    if (!ctx.has_input(i)) continue;
    // Exporters write bounds of shape [1] too.
    PLANISH_RETURN_IF_ERROR(check_rank(ctx, i, 0, std::min(1, ctx.rank(0))));
    if (ctx.rank(i) == 1)
      PLANISH_RETURN_IF_ERROR(check_same_dim(input_name(ctx, i) + ": length", ctx.shape(i)[0], 1));
  }
  ctx.set_output(0, ctx.dtype(0), ctx.shape(0));
  return ok_status();
}

// Opset 6 to 10: bounds as attributes.
Status import_clip_6(const NodeView& node, ImportContext& ctx) {
  if (node.input_count() != 1 || !node.has_input(0))
    return invalid_argument(cat("Clip takes one input before opset 11, got ", node.input_count()));
  constexpr double kMax = double(std::numeric_limits<float>::max());
  PLANISH_ASSIGN_OR_RETURN(double low, node.attr_float("min", -kMax));
  PLANISH_ASSIGN_OR_RETURN(double high, node.attr_float("max", kMax));
  ir::Value* x = node.input(0);
  DataType dtype = x->type.dtype;
  std::vector<ir::Value*> inputs = {x, nullptr, nullptr};
  if (node.has_attr("min")) inputs[1] = ctx.scalar(low, dtype);
  if (node.has_attr("max")) inputs[2] = ctx.scalar(high, dtype);
  PLANISH_ASSIGN_OR_RETURN(ir::Value * y, ctx.add1("Clip", inputs));
  ctx.set_output(0, y);
  return ok_status();
}

// Select's condition may be one value per row.
Status import_select(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value *condition = c.in(0), *x = c.in(1);
  if (c.rank(condition) == 1 && c.rank(x) > 1) {
    std::vector<int64_t> axes;
    for (int i = 1; i < c.rank(x); ++i) axes.push_back(i);
    condition = c.unsqueeze(condition, axes);
  }
  return c.finish({c.where(condition, x, c.in(2))});
}
Status import_clip_by_value(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value *x = c.in(0), *low = c.in(1), *high = c.in(2);
  if (c.rank(low) == 0 && c.rank(high) == 0) return c.finish({c.op("Clip", {x, low, high})});
  return c.finish({c.op("Max", {c.op("Min", {x, high}), low})});
}
Status import_relu6(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value* x = c.in(0);
  return c.finish({c.op("Clip", {x, c.scalar_like(0, x), c.scalar_like(6, x)})});
}

}  // namespace

void register_select(opdef::OpRegistry& registry) {
  opdef::OpDef def = elementwise_def(
      "Where", "X where the condition holds, else Y",
      {operand("condition", opdef::kBools, "which", "B"), operand("X", kAnyType, "where true"),
       operand("Y", kAnyType, "where false")},
      operand("output", kAnyType, "result"), where);
  def.infer = infer_where;
  def.tensorflow = color_rules();
  def.tensorflow.push_back(tensorflow("SelectV2"));
  def.tensorflow.push_back(tensorflow("Select", import_select));
  registry.add(std::move(def));

  def = elementwise_def(
      "Clip", "x within [min, max]; a bound that is absent does not apply",
      {operand("input", kNumbers, "operand"), optional_operand("min", kNumbers, "scalar"),
       optional_operand("max", kNumbers, "scalar")},
      operand("output", kNumbers, "result"), clip);
  def.infer = infer_clip;
  def.onnx = {{"Clip", "", 1, 10, import_clip_6}, {"Clip", "", 11, 1 << 30, nullptr}};
  def.tensorflow = {tensorflow("ClipByValue", import_clip_by_value),
                    tensorflow("Relu6", import_relu6)};
  registry.add(std::move(def));
}

}  // namespace planish::ops
