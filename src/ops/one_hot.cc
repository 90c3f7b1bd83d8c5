// OneHot: index tensors as rows of off values with one on value. An index outside the depth gives a
// row of off values, as ONNX says.
#include <cmath>

#include "base/text.h"
#include "ops/composer.h"
#include "ops/content.h"
#include "ops/movement.h"

namespace planish::ops {
namespace {

Result<Dim> depth_of(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_single(ctx, 1));
  if (const Tensor* value = ctx.value(1)) {
    const double depth = value->f64(0);
    if (!(depth >= 0) || depth > 0x1p62) {
      return invalid_argument(cat("input 1 (depth): got ", depth, ", expected 0 or more"));
    }
    return Dim(int64_t(depth));
  }
  const std::optional<std::vector<Dim>> content = small_content(ctx, 1);
  if (content && content->size() == 1) return (*content)[0];
  return data_dim(ctx, "depth");
}

Status infer(InferContext& ctx) {
  PLANISH_ASSIGN_OR_RETURN(const Dim depth, depth_of(ctx));
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 2, 1, 1));
  PLANISH_RETURN_IF_ERROR(check_same_dim("length of input 2 (values)", ctx.shape(2)[0], 2));
  PLANISH_ASSIGN_OR_RETURN(const int axis, ctx.axis("axis", ctx.rank(0) + 1));
  Shape shape = ctx.shape(0);
  shape.insert(shape.begin() + axis, depth);
  return set_sized_output(ctx, 0, ctx.dtype(2), std::move(shape));
}

// 0..depth-1, or -1 for an index outside; fractions are cut off.
int64_t position(const Tensor& indices, int64_t i, int64_t depth) {
  int64_t index;
  if (ir::is_float(indices.dtype())) {
    const double v = indices.f64(i);
    if (!(std::fabs(v) < 0x1p62)) return -1;
    index = int64_t(v);
  } else {
    index = indices.i64(i);
    if (indices.dtype() == DataType::kU64 && index < 0) return -1;
  }
  return wrap_index(index, depth).value_or(-1);
}

Status evaluate(EvalContext& ctx) {
  const Tensor &indices = ctx.input(0), &values = ctx.input(2);
  Tensor& out = ctx.output(0);
  const int axis = wrap_axis(ctx.attr_int("axis"), out.rank());
  const int64_t depth = out.dim(axis);
  const int64_t inner = product(out.dims(), axis + 1, out.rank());
  fill(out, values, 0);
  if (depth == 0) return ok_status();
  ElementMover mover(values, out);
  for (int64_t i = 0; i < indices.count(); ++i) {
    const int64_t at = position(indices, i, depth);
    if (at >= 0) mover.copy((i / inner * depth + at) * inner + i % inner, 1);
  }
  return ok_status();
}

// Negative indices are off everywhere; ours would count them from the back.
Status import_tensorflow(const opdef::NodeView& node, opdef::ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value *indices = c.i64(c.in(0)), *depth = c.i64(c.in(1));
  ir::Value* is_off = c.op("Less", {indices, c.scalar_like(0, indices)});
  ir::Value* values = c.concat({c.unsqueeze(c.in(3), {0}), c.unsqueeze(c.in(2), {0})}, 0);
  return c.finish({c.op("OneHot", {c.where(is_off, depth, indices), depth, values},
                        {{"axis", c.attr_int("axis", -1)}})});
}

}  // namespace

void register_one_hot(opdef::OpRegistry& registry) {
  opdef::OpDef def;
  def.name = "OneHot";
  def.doc =
      "A new dim of `depth` at `axis`: values[1] where its position is the index (negative ones "
      "count from the back), values[0] elsewhere.";
  def.inputs = {operand("indices", opdef::kNumbers, "positions", ""),
                operand("depth", opdef::kNumbers, "length of the new dim, one element", ""),
                operand("values", opdef::kAnyType, "off and on value")};
  def.outputs = {operand("output", opdef::kAnyType, "one-hot rows")};
  def.attrs = {opdef::int_attr("axis", -1, "where the new dim stands in the output")};
  def.host_inputs = 0b10;
  def.infer = infer;
  def.evaluate = evaluate;
  def.tensorflow = {tensorflow("OneHot", import_tensorflow)};
  registry.add(std::move(def));
}

}  // namespace planish::ops
