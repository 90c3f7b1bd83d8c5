#include "ops/elementwise.h"

namespace planish::ops {

Status infer_elementwise(InferContext& ctx) {
  PLANISH_ASSIGN_OR_RETURN(Shape shape, broadcast_inputs(ctx));
  int first = 0;
  while (!ctx.has_input(first)) ++first;
  ctx.set_output(0, ctx.dtype(first), std::move(shape));
  return ok_status();
}

Status infer_predicate(InferContext& ctx) {
  PLANISH_ASSIGN_OR_RETURN(Shape shape, broadcast_inputs(ctx));
  ctx.set_output(0, DataType::kBool, std::move(shape));
  return ok_status();
}

int wide_arg(ExpressionContext& ctx, int i) {
  DataType dtype = ctx.dtype(i);
  if (dtype == DataType::kF16 || dtype == DataType::kBF16)
    return ctx.builder().cast(ctx.arg(i), DataType::kF32);
  return ctx.arg(i);
}

Status finish(ExpressionContext& ctx, int node) {
  if (ctx.builder().dtype(node) != ctx.output_dtype())
    node = ctx.builder().cast(node, ctx.output_dtype());
  ctx.set_result(node);
  return ok_status();
}

opdef::OpDef elementwise_def(std::string name, std::string doc,
                             std::vector<opdef::ValueSpec> inputs, opdef::ValueSpec output,
                             Status (*expression)(ExpressionContext&)) {
  opdef::OpDef def;
  def.name = std::move(name);
  def.doc = std::move(doc);
  def.inputs = std::move(inputs);
  def.outputs = {std::move(output)};
  def.kind = opdef::FusionKind::kElementwise;
  def.infer = infer_elementwise;
  def.expression = expression;
  return def;
}

}  // namespace planish::ops
