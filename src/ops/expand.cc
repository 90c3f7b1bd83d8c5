// Expand and Tile: elements repeated, by broadcasting dims of 1 or by laying whole copies side by
// side. Both can ask for far more than there is memory; the size is checked before anything else.
#include "base/text.h"
#include "ops/composer.h"
#include "ops/content.h"
#include "ops/movement.h"

namespace planish::ops {
namespace {

// Reads `in` as broadcast to the dims of `out`.
void expand(const Tensor& in, Tensor& out) {
  const std::vector<int64_t> strides = ir::strides_of(in.dims());
  const size_t lead = size_t(out.rank() - in.rank());
  StridedView view{0, std::vector<int64_t>(size_t(out.rank()), 0)};
  for (size_t i = 0; i < strides.size(); ++i) {
    if (in.dims()[i] != 1) view.strides[lead + i] = strides[i];
  }
  copy_strided(in, view, out);
}

Status infer_expand(InferContext& ctx) {
  const std::optional<std::vector<Dim>> target = small_content(ctx, 1);
  if (target) {
    PLANISH_RETURN_IF_ERROR(check_rank(ctx, 1, 1, 1));
    for (const Dim& d : *target) {
      if (d.is_constant() && d.value() < 0) {
        return invalid_argument(cat("input 1 (shape): got ", d.value(), ", expected 0 or more"));
      }
    }
    PLANISH_ASSIGN_OR_RETURN(Shape shape, broadcast(ctx.shape(0), *target));
    PLANISH_RETURN_IF_ERROR(set_sized_output(ctx, 0, ctx.dtype(0), std::move(shape)));
    set_moved_content(ctx, expand);
    return ok_status();
  }
  PLANISH_ASSIGN_OR_RETURN(const int64_t length, list_length(ctx, 1));
  const Shape& in = ctx.shape(0);
  Shape shape(size_t(std::max(length, int64_t(in.size()))));
  for (size_t i = 0; i < shape.size(); ++i) {
    const size_t lead = shape.size() - in.size();
    const Dim known = i < lead ? Dim(1) : in[i - lead];
    // Only a dim of 1 stretches.
    const bool stretches = !known.is_constant() || known.value() == 1;
    shape[i] = stretches && i + size_t(length) >= shape.size() ? data_dim(ctx, "expand") : known;
  }
  return set_sized_output(ctx, 0, ctx.dtype(0), std::move(shape));
}

Status evaluate_expand(EvalContext& ctx) {
  expand(ctx.input(0), ctx.output(0));
  return ok_status();
}

// Every dim split in two: the copy's number (stride 0 in the input) and the position within it.
void tile(const Tensor& in, Tensor& out) {
  if (out.count() == 0) return;
  const std::vector<int64_t> from = ir::strides_of(in.dims()), to = ir::strides_of(out.dims());
  std::vector<int64_t> dims;
  StridedView in_view, out_view;
  for (size_t i = 0; i < from.size(); ++i) {
    dims.insert(dims.end(), {out.dims()[i] / in.dims()[i], in.dims()[i]});
    in_view.strides.insert(in_view.strides.end(), {0, from[i]});
    out_view.strides.insert(out_view.strides.end(), {in.dims()[i] * to[i], to[i]});
  }
  copy_strided(in, in_view, out, out_view, dims);
}

Status infer_tile(InferContext& ctx) {
  PLANISH_ASSIGN_OR_RETURN(const int64_t length, list_length(ctx, 1));
  if (length != ctx.rank(0)) {
    return invalid_argument(cat("input 1 (repeats): got ", length, " elements, expected ",
                                ctx.rank(0), ", the rank of ", ir::to_string(ctx.shape(0))));
  }
  const std::optional<std::vector<Dim>> repeats = small_content(ctx, 1);
  Shape shape = ctx.shape(0);
  for (size_t i = 0; i < shape.size(); ++i) {
    if (!repeats) {
      shape[i] = data_dim(ctx, "tile");
      continue;
    }
    const Dim& r = (*repeats)[i];
    if (r.is_constant() && r.value() < 0) {
      return invalid_argument(cat("input 1 (repeats): got ", r.value(), ", expected 0 or more"));
    }
    shape[i] = shape[i] * r;
  }
  PLANISH_RETURN_IF_ERROR(set_sized_output(ctx, 0, ctx.dtype(0), std::move(shape)));
  if (repeats) set_moved_content(ctx, tile);
  return ok_status();
}

Status evaluate_tile(EvalContext& ctx) {
  tile(ctx.input(0), ctx.output(0));
  return ok_status();
}

opdef::OpDef repeat_def(std::string name, std::string doc, std::string second,
                        std::string second_doc, Status (*infer)(InferContext&),
                        Status (*evaluate)(EvalContext&)) {
  opdef::OpDef def;
  def.name = std::move(name);
  def.doc = std::move(doc);
  def.inputs = {operand("input", opdef::kAnyType, "tensor"),
                operand(std::move(second), opdef::kInt64, std::move(second_doc), "")};
  def.outputs = {operand("output", opdef::kAnyType, "repeated elements")};
  def.kind = opdef::FusionKind::kInjective;
  def.host_inputs = 0b10;
  def.infer = infer;
  def.evaluate = evaluate;
  return def;
}

Status import_broadcast_to(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  return c.finish({c.op("Expand", {c.in(0), c.i64(c.in(1))})});
}
// The dims that two lists of dims broadcast to.
Status import_broadcast_args(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value *a = c.i64(c.in(0)), *b = c.i64(c.in(1));
  const int64_t long_a = c.need_dim(a, 0, "input 0 (s0)"), long_b = c.need_dim(b, 0, "input 1 (s1)");
  if (!c.ok()) return c.finish({});
  const auto filled_up = [&](ir::Value* dims, int64_t missing) {
    return missing > 0 ? c.concat({c.ints(std::vector<int64_t>(size_t(missing), 1)), dims}, 0) : dims;
  };
  a = filled_up(a, long_b - long_a);
  b = filled_up(b, long_a - long_b);
  ir::Value* one = c.constant(Tensor::scalar_i64(1));
  return c.finish({c.cast(c.where(c.op("Equal", {a, one}), b, a), c.dtype(c.in(0)))});
}
Status import_tensorflow_tile(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  return c.finish({c.op("Tile", {c.in(0), c.i64(c.in(1))})});
}
Status import_fill(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  return c.finish({c.op("Expand", {c.in(1), c.i64(c.in(0))})});
}

}  // namespace

void register_expand(opdef::OpRegistry& registry) {
  opdef::OpDef def = repeat_def("Expand",
                          "`input` broadcast with `shape` by NumPy's rule, in both directions.",
                          "shape", "dims to broadcast with", infer_expand, evaluate_expand);
  def.tensorflow = {tensorflow("BroadcastArgs", import_broadcast_args),
                    tensorflow("BroadcastTo", import_broadcast_to), tensorflow("Fill", import_fill)};
  registry.add(std::move(def));
  def = repeat_def("Tile", "Copies of `input` side by side, repeats[i] of them along dim i.",
                          "repeats", "copies per dim", infer_tile, evaluate_tile);
  def.tensorflow = {tensorflow("Tile", import_tensorflow_tile)};
  registry.add(std::move(def));
}

}  // namespace planish::ops
