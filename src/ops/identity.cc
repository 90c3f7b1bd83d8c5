// Identity, and Dropout, which is Identity when it does not train. Dropout's mask is all true then.
#include "base/text.h"
#include "ops/known_elements.h"
#include "ops/elementwise.h"
#include "opdef/import.h"

namespace planish::ops {
namespace {

using opdef::ImportContext;
using opdef::kAnyType;
using opdef::NodeView;

Status infer_identity(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(infer_elementwise(ctx));
  map_content(ctx, [](std::span<const Dim> x) { return x[0]; });
  return ok_status();
}

Status identity(ExpressionContext& ctx) { return finish(ctx, ctx.arg(0)); }

// Whether a scalar input is known to be zero (false); absent counts as `when_absent`.
bool is_zero(const NodeView& node, int input, bool when_absent) {
  if (!node.has_input(input)) return when_absent;
  const ir::Value* value = node.input(input);
  return value->constant && value->constant->count() == 1 && value->constant->f64(0) == 0;
}

Status import_dropout(const NodeView& node, ImportContext& ctx) {
  if (!node.has_input(0)) return invalid_argument("input 0 (data) is missing");
  if (!is_zero(node, 2, true) && !is_zero(node, 1, false))
    return unsupported(
        "training: input 2 (training_mode) has to be absent or the constant false, or input 1 "
        "(ratio) the constant 0");
  ir::Value* x = node.input(0);
  PLANISH_ASSIGN_OR_RETURN(ir::Value * y, ctx.add1("Identity", {x}));
  ctx.set_output(0, y);
  if (!node.output_used(1)) return ok_status();
  // Before opset 10 the mask has the data's type.
  DataType dtype = node.opset() < 10 ? x->type.dtype : DataType::kBool;
  const double one = 1;
  PLANISH_ASSIGN_OR_RETURN(ir::Value * shape, ctx.add1("Shape", {x}));
  PLANISH_ASSIGN_OR_RETURN(
      ir::Value * mask,
      ctx.add1("ConstantOfShape", {shape},
               {{"value", Tensor::from_f64(dtype, {1}, std::span<const double>(&one, 1))}}));
  ctx.set_output(1, mask);
  return ok_status();
}

}  // namespace

void register_identity(opdef::OpRegistry& registry) {
  opdef::OpDef def =
      elementwise_def("Identity", "x itself", {operand("input", kAnyType, "operand")},
                      operand("output", kAnyType, "result"), identity);
  def.infer = infer_identity;
  def.onnx = {{"Identity", "", 1, 1 << 30, nullptr}, {"Dropout", "", 7, 1 << 30, import_dropout}};
  def.is_view = true;
  registry.add(std::move(def));
}

}  // namespace planish::ops
