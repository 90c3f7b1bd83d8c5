// What elementwise operators share: their shape inference and the small pieces that their
// expressions are written with. An elementwise op has an expression and no evaluate; functions made
// of several primitives compute in f32 when their operands are narrower, so that only the result is
// rounded to the narrow type.
#pragma once
#include "ops/shape_rules.h"

namespace planish::ops {

using kernel::ExprBuilder;
using kernel::ScalarOp;
using opdef::ExpressionContext;

// Broadcast shape, element type of the first present input; content for one-input copies is the
// op's affair.
Status infer_elementwise(InferContext& ctx);
// Broadcast shape, bool.
Status infer_predicate(InferContext& ctx);

// Argument i, as f32 when it is f16 or bf16.
int wide_arg(ExpressionContext& ctx, int i);
// Sets the result, cast to the output's type where it differs.
Status finish(ExpressionContext& ctx, int node);
// An immediate of the type of `like`.
inline int imm_like(ExpressionContext& ctx, double value, int like) {
  return ctx.builder().imm(value, ctx.builder().dtype(like));
}

// One primitive applied to argument 0, in the argument's own type.
template <ScalarOp kOp>
Status unary_expression(ExpressionContext& ctx) {
  return finish(ctx, ctx.builder().unary(kOp, ctx.arg(0)));
}
template <ScalarOp kOp>
Status binary_expression(ExpressionContext& ctx) {
  return finish(ctx, ctx.builder().binary(kOp, ctx.arg(0), ctx.arg(1)));
}

// A definition with the given operands and one output of the same type.
opdef::OpDef elementwise_def(std::string name, std::string doc,
                             std::vector<opdef::ValueSpec> inputs, opdef::ValueSpec output,
                             Status (*expression)(ExpressionContext&));


}  // namespace planish::ops
