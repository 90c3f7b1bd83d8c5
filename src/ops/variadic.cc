// Max, Min, Sum and Mean over any number of broadcast operands.
#include "ops/composer.h"
#include "ops/dilation.h"
#include "ops/known_elements.h"
#include "ops/elementwise.h"

namespace planish::ops {
namespace {

using opdef::kFloats;
using opdef::kNumbers;

template <ScalarOp kOp>
Status fold(ExpressionContext& ctx) {
  int result = ctx.arg(0);
  for (int i = 1; i < ctx.arg_count(); ++i)
    result = ctx.builder().binary(kOp, result, ctx.arg(i));
  return finish(ctx, result);
}

int sum_of(ExpressionContext& ctx) {
  int result = wide_arg(ctx, 0);
  for (int i = 1; i < ctx.arg_count(); ++i) result = ctx.builder().add(result, wide_arg(ctx, i));
  return result;
}

Status sum(ExpressionContext& ctx) { return finish(ctx, sum_of(ctx)); }

Status mean(ExpressionContext& ctx) {
  int total = sum_of(ctx);
  return finish(ctx, ctx.builder().div(total, imm_like(ctx, ctx.arg_count(), total)));
}

template <bool kMax>
Status infer_extreme(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(infer_elementwise(ctx));
  map_content(ctx, [](std::span<const Dim> x) -> std::optional<Dim> {
    Dim out = x[0];
    for (const Dim& other : x.subspan(1)) out = kMax ? max(out, other) : min(out, other);
    return out;
  });
  return ok_status();
}

// AddN's operands have one shape; integers are added one by one.
Status import_add_n(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  const std::vector<ir::Value*> values = c.all_inputs();
  if (values.empty()) return invalid_argument("got no inputs, expected at least one");
  if (c.is_float(values[0])) return c.finish({c.op("Sum", values)});
  ir::Value* sum = values[0];
  for (size_t i = 1; i < values.size(); ++i) sum = c.add(sum, values[i]);
  return c.finish({sum});
}

}  // namespace

void register_variadic(opdef::OpRegistry& registry) {
  auto add = [&](const char* name, const char* doc, opdef::TypeSet types,
                 Status (*expression)(ExpressionContext&), Status (*infer)(InferContext&)) {
    opdef::OpDef def =
        elementwise_def(name, doc, {variadic_operand("data_0", types, "one or more operands")},
                        operand("result", types, "result"), expression);
    def.infer = infer;
    if (def.name == "Max") {
      def.tensorflow = dilation_rules();
      def.tensorflow.push_back(tensorflow("Maximum"));
    }
    if (def.name == "Min") def.tensorflow = {tensorflow("Minimum")};
    if (def.name == "Sum")
      def.tensorflow = {tensorflow("AddN", import_add_n), tensorflow("AccumulateNV2", import_add_n)};
    registry.add(std::move(def));
  };
  add("Max", "greatest of the operands; NaN when one is NaN", kNumbers, fold<ScalarOp::kMax>,
      infer_extreme<true>);
  add("Mean", "mean of the operands", kFloats, mean, infer_elementwise);
  add("Min", "least of the operands; NaN when one is NaN", kNumbers, fold<ScalarOp::kMin>,
      infer_extreme<false>);
  add("Sum", "sum of the operands", kFloats, sum, infer_elementwise);
}

}  // namespace planish::ops
