// Trilu: the upper or lower triangle of matrices, zeros elsewhere.
#include <algorithm>

#include "base/text.h"
#include "ops/composer.h"
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

Status import_band_part(const opdef::NodeView& node, opdef::ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value* x = c.in(0);
  const int64_t below = c.need_one(1, "num_lower"), above = c.need_one(2, "num_upper");
  const auto keep = [&](int64_t k, int64_t upper) {
    x = c.op("Trilu", {x, c.constant(Tensor::scalar_i64(k))}, {{"upper", upper}});
  };
  if (below >= 0) keep(-below, 1);
  if (above >= 0) keep(above, 0);
  return c.finish({c.op("Identity", {x})});
}
// true on the main diagonal of [rows, columns].
ir::Value* diagonal_mask(Composer& c, int64_t rows, int64_t columns) {
  if (rows * columns > (1 << 24)) c.fail(unsupported("the matrix has more than 2^24 elements"));
  if (!c.ok()) return c.scalar(0, DataType::kBool);
  Tensor mask(DataType::kBool, {rows, columns});
  for (int64_t i = 0; i < std::min(rows, columns); ++i) mask.set_i64(i * columns + i, 1);
  return c.constant(mask);
}
void check_main_diagonal(Composer& c, int input) {
  if (c.input_count() <= input) return;
  for (int64_t k : c.need(input, "k"))
    if (k != 0) c.fail(unsupported(cat("the diagonal ", k, ", expected the main one")));
}
Status import_diag(const opdef::NodeView& node, opdef::ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value* x = c.in(0);
  if (node.op_type() == "Diag" && !c.has_rank(x, 1, 1, "input 0 (diagonal)")) return c.finish({});
  check_main_diagonal(c, 1);
  const int64_t n = c.need_dim(x, -1, "the diagonal");
  return c.finish({c.where(diagonal_mask(c, n, n), c.unsqueeze(x, {-1}), c.scalar_like(0, x))});
}
Status import_diag_part(const opdef::NodeView& node, opdef::ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value* x = c.in(0);
  if (node.op_type() == "DiagPart" && !c.has_rank(x, 2, 2, "input 0")) return c.finish({});
  check_main_diagonal(c, 1);
  const int64_t rows = c.need_dim(x, -2, "the matrix"), columns = c.need_dim(x, -1, "the matrix");
  ir::Value* kept = c.where(diagonal_mask(c, rows, columns), x, c.scalar_like(0, x));
  if (rows < columns) kept = c.slice(kept, c.rank(x) - 1, 0, rows);
  if (columns < rows) kept = c.slice(kept, c.rank(x) - 2, 0, columns);
  return c.finish({c.reduce("ReduceSum", kept, {-1}, false)});
}
Status import_set_diag(const opdef::NodeView& node, opdef::ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value *x = c.in(0), *diagonal = c.in(1);
  check_main_diagonal(c, 2);
  const int64_t rows = c.need_dim(x, -2, "the matrix"), columns = c.need_dim(x, -1, "the matrix");
  if (rows > columns) return unsupported("more rows than columns");
  return c.finish({c.where(diagonal_mask(c, rows, columns), c.unsqueeze(diagonal, {-1}), x)});
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
  def.tensorflow = {tensorflow("MatrixBandPart", import_band_part)};
  for (const char* name : {"Diag", "MatrixDiag", "MatrixDiagV2", "MatrixDiagV3"})
    def.tensorflow.push_back(tensorflow(name, import_diag));
  for (const char* name : {"DiagPart", "MatrixDiagPart", "MatrixDiagPartV2", "MatrixDiagPartV3"})
    def.tensorflow.push_back(tensorflow(name, import_diag_part));
  for (const char* name : {"MatrixSetDiag", "MatrixSetDiagV2", "MatrixSetDiagV3"})
    def.tensorflow.push_back(tensorflow(name, import_set_diag));
  registry.add(std::move(def));
}

}  // namespace planish::ops
