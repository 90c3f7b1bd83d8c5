// Concat: tensors laid one after another along an axis.
#include "base/text.h"
#include "ops/composer.h"
#include "ops/content.h"
#include "ops/movement.h"
#include "opdef/import.h"

namespace planish::ops {
namespace {

// Content when every input's elements are known and all lie along the only axis.
void set_content(InferContext& ctx) {
  if (!carries_content(ctx, 0) || ctx.rank(0) != 1) return;
  std::vector<Dim> all;
  for (int i = 0; i < ctx.input_count(); ++i) {
    const std::optional<std::vector<Dim>> part = small_content(ctx, i);
    if (!part) return;
    all.insert(all.end(), part->begin(), part->end());
  }
  ctx.set_content(0, std::move(all));
}

Status infer(InferContext& ctx) {
  if (ctx.input_count() == 0) return invalid_argument("got no inputs, expected at least one");
  const int rank = ctx.rank(0);
  PLANISH_ASSIGN_OR_RETURN(const int axis, ctx.axis("axis", rank));
  Shape shape = ctx.shape(0);
  for (int i = 1; i < ctx.input_count(); ++i) {
    PLANISH_RETURN_IF_ERROR(check_rank(ctx, i, rank, rank));
    for (int d = 0; d < rank; ++d) {
      Dim& out = shape[size_t(d)];
      const Dim& dim = ctx.shape(i)[size_t(d)];
      if (d == axis) {
        out = out + dim;
        continue;
      }
      PLANISH_RETURN_IF_ERROR(
          check_same_dim(cat(input_name(ctx, i), ", dim ", d), dim, out));
      if (dim.is_constant()) out = dim;  // a constant is the better description
    }
  }
  PLANISH_RETURN_IF_ERROR(set_sized_output(ctx, 0, ctx.dtype(0), std::move(shape)));
  set_content(ctx);
  return ok_status();
}

Status evaluate(EvalContext& ctx) {
  Tensor& out = ctx.output(0);
  const int rank = out.rank();
  const int axis = wrap_axis(ctx.attr_int("axis"), rank);
  const int64_t outer = product(out.dims(), 0, axis);
  const int64_t inner = product(out.dims(), axis + 1, rank);
  const int64_t row = out.dim(axis) * inner;
  int64_t offset = 0;
  for (int i = 0; i < ctx.input_count(); ++i) {
    const Tensor& in = ctx.input(i);
    const int64_t part = in.dim(axis) * inner;
    ElementMover mover(in, out);
    for (int64_t o = 0; o < outer; ++o) mover.copy(o * row + offset, o * part, part);
    offset += part;
  }
  return ok_status();
}

// Up to opset 3 the axis had a default; later it must be given.
Status import_concat(const opdef::NodeView& node, opdef::ImportContext& context) {
  if (!node.has_attr("axis") && node.opset() >= 4) {
    return invalid_argument("attribute 'axis' is missing");
  }
  PLANISH_ASSIGN_OR_RETURN(const int64_t axis, node.attr_int("axis", 1));
  std::vector<ir::Value*> inputs;
  for (int i = 0; i < node.input_count(); ++i) {
    if (!node.has_input(i)) return invalid_argument(cat("input ", i, " is missing"));
    inputs.push_back(node.input(i));
  }
  PLANISH_ASSIGN_OR_RETURN(ir::Value* out,
                           context.add1("Concat", std::move(inputs), {{"axis", axis}}));
  context.set_output(0, out);
  return ok_status();
}

Status import_tensorflow_concat(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  Composer::Values parts = c.all_inputs();
  if (parts.size() < 2) return invalid_argument("expected values and an axis");
  const bool first = node.op_type() == "Concat";
  const int64_t axis = c.need_one(first ? 0 : int(parts.size()) - 1, "axis");
  parts.erase(first ? parts.begin() : parts.end() - 1);
  return c.finish({c.op("Concat", parts, {{"axis", axis}})});
}
Status import_pack(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  Composer::Values parts = c.all_inputs();
  if (parts.empty()) return invalid_argument("got no inputs, expected at least one");
  const int64_t axis = c.axis(c.attr_int("axis", 0), c.rank(parts[0]) + 1);
  for (ir::Value*& part : parts) part = c.unsqueeze(part, {axis});
  return c.finish({c.concat(parts, axis)});
}
Status import_parallel_concat(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  return c.finish({c.concat(c.all_inputs(), 0)});
}
// x moved along axes; what leaves at one end comes back at the other.
Status import_roll(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value* x = c.in(0);
  const std::vector<int64_t> shifts = c.need(1, "shift"), axes = c.need(2, "axis");
  for (size_t i = 0; i < axes.size() && i < shifts.size() && c.ok(); ++i) {
    const int64_t axis = c.axis(axes[i], c.rank(x)), dim = c.need_dim(x, axis, "the axis");
    const int64_t shift = dim > 0 ? (shifts[i] % dim + dim) % dim : 0;
    if (shift == 0) continue;
    x = c.concat({c.slice(x, axis, dim - shift, INT64_MAX), c.slice(x, axis, 0, dim - shift)}, axis);
  }
  return c.finish({x});
}

}  // namespace

void register_concat(opdef::OpRegistry& registry) {
  opdef::OpDef def;
  def.name = "Concat";
  def.doc = "The inputs one after another along `axis`; all other dims are equal.";
  def.inputs = {variadic_operand("inputs", opdef::kAnyType, "one or more tensors")};
  def.outputs = {operand("concat_result", opdef::kAnyType, "all elements")};
  def.attrs = {opdef::required_attr("axis", opdef::AttrKind::kInt, "dim that grows")};
  def.kind = opdef::FusionKind::kInjective;
  def.infer = infer;
  def.evaluate = evaluate;
  def.onnx = {{"Concat", "", 1, 1 << 30, import_concat}};
  def.tensorflow = {tensorflow("Concat", import_tensorflow_concat),
                    tensorflow("ConcatV2", import_tensorflow_concat),
                    tensorflow("Pack", import_pack),
                    tensorflow("ParallelConcat", import_parallel_concat),
                    tensorflow("Roll", import_roll)};
  registry.add(std::move(def));
}

}  // namespace planish::ops
