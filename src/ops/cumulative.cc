// CumSum and CumProd: running sums and products along an axis, which is a scalar input.
#include "base/text.h"
#include "ops/composer.h"
#include "ops/lines.h"
#include "ops/numeric.h"
#include "ops/shape_rules.h"

namespace planish::ops {
namespace {

using opdef::EvalContext;
using opdef::TypeSet;

Status infer_cumulative(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 0, 1));
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 1, 0, 1));
  if (ctx.rank(1) == 1)
    PLANISH_RETURN_IF_ERROR(check_same_dim("input 1 (axis): length", ctx.shape(1)[0], 1));
  if (std::optional<std::vector<int64_t>> axis = ctx.ints(1); axis && axis->size() == 1)
    PLANISH_RETURN_IF_ERROR(normalize_axis("input 1 (axis)", (*axis)[0], ctx.rank(0)).status());
  ctx.set_output(0, ctx.dtype(0), ctx.shape(0));
  return ok_status();
}

template <bool kProduct>
Status evaluate_cumulative(EvalContext& ctx) {
  const Tensor& x = ctx.input(0);
  if (ctx.input(1).count() != 1)
    return invalid_argument(cat("input 1 (axis): got ", ctx.input(1).count(), " values, expected 1"));
  PLANISH_ASSIGN_OR_RETURN(int axis, normalize_axis("input 1 (axis)", ctx.input(1).i64(0), x.rank()));
  Lines lines = lines_of(x.dims(), axis);
  bool exclusive = ctx.attr_int("exclusive") != 0, reverse = ctx.attr_int("reverse") != 0;
  with_values(x, [&](auto values) {
    using T = typename decltype(values)::value_type;
    for (int64_t l = 0; l < lines.count(); ++l) {
      T total = T(kProduct ? 1 : 0);
      for (int64_t i = 0; i < lines.length; ++i) {
        int64_t position = reverse ? lines.length - 1 - i : i;
        T& element = values[size_t(lines.start(l) + position * lines.step())];
        T next = kProduct ? wrapping_multiply(total, element) : wrapping_add(total, element);
        element = exclusive ? total : next;
        total = next;
      }
    }
    assign(ctx.output(0), values);
  });
  return ok_status();
}

// The longest sum is the whole axis; which one it is may not be known here.
int64_t accumulation(const ir::Node& node) {
  int64_t out = 1;
  for (const Dim& d : node.inputs[0]->type.shape) out = std::max(out, d.constant().value_or(1));
  return out;
}

}  // namespace

void register_cumulative(opdef::OpRegistry& registry) {
  constexpr TypeSet kTypes = opdef::kFloats | TypeSet{DataType::kI32, DataType::kI64,
                                                      DataType::kU32, DataType::kU64};
  auto add = [&](const char* name, const char* doc, Status (*evaluate)(EvalContext&)) {
    opdef::OpDef def;
    def.name = name;
    def.doc = doc;
    def.inputs = {operand("x", kTypes, "operand"),
                  operand("axis", opdef::kIndices, "scalar", "T2")};
    def.outputs = {operand("y", kTypes, "result")};
    def.attrs = {opdef::int_attr("exclusive", 0, "1: the element itself is left out"),
                 opdef::int_attr("reverse", 0, "1: from the end to the start")};
    def.kind = opdef::FusionKind::kReduction;
    def.host_inputs = 1u << 1;
    def.infer = infer_cumulative;
    def.evaluate = evaluate;
    def.accumulation = accumulation;
    def.tensorflow = {tensorflow(def.name == "CumSum" ? "Cumsum" : "Cumprod")};
    registry.add(std::move(def));
  };
  add("CumProd", "running product along the axis", evaluate_cumulative<true>);
  add("CumSum", "running sum along the axis", evaluate_cumulative<false>);
}

}  // namespace planish::ops
