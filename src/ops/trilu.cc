// Trilu: the upper or lower triangle of matrices, zeros elsewhere.
#include <algorithm>

#include "ops/dims.h"
#include "ops/movement.h"

namespace planish::ops {
namespace {

Status infer(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 0, 2));
  if (ctx.has_input(1)) PLANISH_RETURN_IF_ERROR(check_single(ctx, 1));
  ctx.set_output(0, ctx.dtype(0), ctx.shape(0));
  return ok_status();
}

Status evaluate(EvalContext& ctx) {
  const Tensor& in = ctx.input(0);
  Tensor& out = ctx.output(0);
  const bool upper = ctx.attr_int("upper") != 0;
  const int64_t rows = in.dim(in.rank() - 2), columns = in.dim(in.rank() - 1);
  // Diagonals further out than the matrix change nothing; clamping keeps the sums in range.
  const int64_t k =
      std::clamp(ctx.has_input(1) ? ctx.input(1).i64(0) : 0, -rows - 1, columns + 1);
  ElementMover mover(in, out);
  for (int64_t row = 0; rows > 0 && row < in.count() / std::max<int64_t>(columns, 1); ++row) {
    const int64_t diagonal = std::clamp<int64_t>(row % rows + k + (upper ? 0 : 1), 0, columns);
    const int64_t begin = upper ? diagonal : 0, end = upper ? columns : diagonal;
    mover.copy(row * columns + begin, row * columns + begin, end - begin);
  }
  return ok_status();
}

}  // namespace

void register_trilu(opdef::OpRegistry& registry) {
  opdef::OpDef def;
  def.name = "Trilu";
  def.doc =
      "The last two dims as matrices with only the elements on and above (upper = 1) or on and "
      "below (upper = 0) diagonal k kept.";
  def.inputs = {operand("input", opdef::kAnyType, "matrices"),
                optional_operand("k", opdef::kInt64, "diagonal, default 0, one element", "")};
  def.outputs = {operand("output", opdef::kAnyType, "triangles")};
  def.attrs = {opdef::int_attr("upper", 1, "1: upper triangle, 0: lower")};
  def.host_inputs = 0b10;
  def.infer = infer;
  def.evaluate = evaluate;
  registry.add(std::move(def));
}

}  // namespace planish::ops
