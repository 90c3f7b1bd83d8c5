// ArgMax and ArgMin: the position of the extreme along an axis. NaN counts as the extreme, as NumPy
// has it.
#include "ops/composer.h"
#include "ops/lines.h"
#include "ops/numeric.h"
#include "ops/reduction.h"

namespace planish::ops {
namespace {

using opdef::EvalContext;

Status infer_arg(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 0, 1));
  PLANISH_ASSIGN_OR_RETURN(int axis, ctx.axis("axis", ctx.rank(0)));
  const Dim& length = ctx.shape(0)[size_t(axis)];
  if (length == Dim(0))
    return invalid_argument("input 0 (data): got an empty axis, expected at least one element");
  ctx.set_output(0, DataType::kI64,
                 reduced_shape(ctx.shape(0), std::span(&axis, 1), ctx.attr_int("keepdims") != 0));
  return ok_status();
}

template <class T>
bool beats(T candidate, T best, bool want_max, bool ties) {
  if (is_nan(best)) return ties && is_nan(candidate);
  if (is_nan(candidate)) return true;
  if (candidate == best) return ties;
  return want_max ? candidate > best : candidate < best;
}

template <bool kMax>
Status evaluate_arg(EvalContext& ctx) {
  const Tensor& x = ctx.input(0);
  int64_t axis = ctx.attr_int("axis");
  Lines lines = lines_of(x.dims(), int(axis < 0 ? axis + x.rank() : axis));
  bool last = ctx.attr_int("select_last_index") != 0;
  std::vector<int64_t> out(size_t(lines.count()), 0);
  with_values(x, [&](const auto& values) {
    for (int64_t l = 0; l < lines.count(); ++l) {
      int64_t best = 0;
      auto at = [&](int64_t i) { return values[size_t(lines.start(l) + i * lines.step())]; };
      for (int64_t i = 1; i < lines.length; ++i)
        if (beats(at(i), at(best), kMax, last)) best = i;
      out[size_t(l)] = best;
    }
  });
  ctx.output(0).assign_i64(out);
  return ok_status();
}

Status import_arg(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  const int64_t axis = c.need_one(1, "dimension");
  ir::Value* place =
      c.op(node.op_type(), {c.in(0)}, {{"axis", axis}, {"keepdims", int64_t(0)}});
  return c.finish({c.cast(place, c.attr_type("output_type", DataType::kI64))});
}

}  // namespace

void register_arg_reduce(opdef::OpRegistry& registry) {
  auto add = [&](const char* name, const char* doc, Status (*evaluate)(EvalContext&)) {
    opdef::OpDef def;
    def.name = name;
    def.doc = doc;
    def.inputs = {operand("data", opdef::kNumbers, "operand")};
    def.outputs = {operand("reduced", opdef::kInt64, "positions", "I")};
    def.attrs = {opdef::int_attr("axis", 0, "that is searched"),
                 opdef::int_attr("keepdims", 1, "1: the axis stays as 1"),
                 opdef::int_attr("select_last_index", 0, "1: the last of equal extremes")};
    def.kind = opdef::FusionKind::kReduction;
    def.infer = infer_arg;
    def.evaluate = evaluate;
    def.tensorflow = {tensorflow(def.name, import_arg)};
    registry.add(std::move(def));
  };
  add("ArgMax", "position of the maximum along the axis", evaluate_arg<true>);
  add("ArgMin", "position of the minimum along the axis", evaluate_arg<false>);
}

}  // namespace planish::ops
