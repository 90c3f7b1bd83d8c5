// NonZero and Compress: how much they give is known only when they have run, so one dim of the
// output is a symbol that the data bind, at most the count of what they look at.
#include "base/text.h"
#include "ops/composer.h"
#include "ops/ctc.h"
#include "ops/dims.h"
#include "ops/movement.h"

namespace planish::ops {
namespace {

// --- NonZero ---

Status infer_non_zero(InferContext& ctx) {
  const Dim total = ir::element_count(ctx.shape(0));
  ctx.set_output(0, DataType::kI64, {Dim(ctx.rank(0)), data_dim(ctx, "nonzero", total)});
  return ok_status();
}

bool is_nonzero(const Tensor& t, int64_t i) {
  return ir::is_float(t.dtype()) ? t.f64(i) != 0 : t.i64(i) != 0;
}

Status evaluate_non_zero(EvalContext& ctx) {
  const Tensor& in = ctx.input(0);
  std::vector<int64_t> found;
  for (int64_t i = 0; i < in.count(); ++i) {
    if (is_nonzero(in, i)) found.push_back(i);
  }
  const int64_t count = int64_t(found.size());
  Tensor out(DataType::kI64, {in.rank(), count});
  const std::vector<int64_t> strides = ir::strides_of(in.dims());
  for (int d = 0; d < in.rank(); ++d) {
    for (int64_t i = 0; i < count; ++i) {
      out.set_i64(d * count + i, found[size_t(i)] / strides[size_t(d)] % in.dim(d));
    }
  }
  ctx.set_output(0, std::move(out));
  return ok_status();
}

// --- Compress ---

Status infer_compress(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 1, 1, 1));
  Shape shape;
  int axis = 0;
  if (ctx.has_attr("axis")) {
    PLANISH_ASSIGN_OR_RETURN(axis, ctx.axis("axis", ctx.rank(0)));
    shape = ctx.shape(0);
  } else {
    shape = {ir::element_count(ctx.shape(0))};
  }
  const Dim& whole = shape[size_t(axis)];
  const Dim& condition = ctx.shape(1)[0];
  if (whole.is_constant() && condition.is_constant() && condition.value() > whole.value()) {
    return invalid_argument(cat("input 1 (condition): got ", condition.value(),
                                " elements, expected at most ", whole.value()));
  }
  shape[size_t(axis)] = data_dim(ctx, "compress", min(whole, condition));
  return set_sized_output(ctx, 0, ctx.dtype(0), std::move(shape));
}

Status evaluate_compress(EvalContext& ctx) {
  const Tensor &in = ctx.input(0), &condition = ctx.input(1);
  std::vector<int64_t> kept;
  for (int64_t i = 0; i < condition.count(); ++i) {
    if (condition.i64(i) != 0) kept.push_back(i);
  }
  const bool flat = !ctx.has_attr("axis");
  std::vector<int64_t> dims = flat ? std::vector<int64_t>{in.count()} : in.dims();
  const int rank = int(dims.size());
  const int axis = flat ? 0 : wrap_axis(ctx.attr_int("axis"), rank);
  const int64_t whole = dims[size_t(axis)];
  const int64_t outer = product(dims, 0, axis), inner = product(dims, axis + 1, rank);
  dims[size_t(axis)] = int64_t(kept.size());
  Tensor out(in.dtype(), std::move(dims));
  ElementMover mover(in, out);
  int64_t to = 0;
  for (int64_t o = 0; o < outer; ++o) {
    for (int64_t k : kept) {
      mover.copy(to, (o * whole + k) * inner, inner);
      to += inner;
    }
  }
  ctx.set_output(0, std::move(out));
  return ok_status();
}

Status import_where(const opdef::NodeView& node, opdef::ImportContext& ctx) {
  Composer c(node, ctx);
  return c.finish({c.transpose(c.op("NonZero", {c.in(0)}), {1, 0})});
}

// One output per partition: the rows that belong to it.
Status import_dynamic_partition(const opdef::NodeView& node, opdef::ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value *x = c.in(0), *partition = c.in(1);
  const int64_t count = c.attr_int("num_partitions", 1);
  if (count < 1 || count > (1 << 16)) return invalid_argument(cat("num_partitions is ", count));
  if (c.rank(partition) != 1) {
    ir::Value* rest = c.op("Shape", {x}, {{"start", int64_t(c.rank(partition))}});
    x = c.op("Reshape", {x, c.concat({c.ints({-1}), rest}, 0)});
    partition = c.reshape(partition, {-1});
  }
  Composer::Values out;
  for (int64_t i = 0; i < count; ++i) {
    ir::Value* is_member = c.op("Equal", {partition, c.scalar_like(double(i), partition)});
    out.push_back(c.op("Compress", {x, is_member}, {{"axis", int64_t(0)}}));
  }
  return c.finish(out);
}

// What of x is not in y, and where it stood.
Status import_list_diff(const opdef::NodeView& node, opdef::ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value *x = c.in(0), *y = c.in(1);
  ir::Value* same = c.cast(c.op("Equal", {c.unsqueeze(x, {1}), c.unsqueeze(y, {0})}), DataType::kI32);
  ir::Value* is_alone = c.op("Equal", {c.reduce("ReduceSum", same, {1}, false), c.scalar(0, DataType::kI32)});
  ir::Value* places = c.squeeze(c.op("NonZero", {is_alone}), {0});
  return c.finish({c.op("Gather", {x, places}, {{"axis", int64_t(0)}}),
                   c.cast(places, c.attr_type("out_idx", DataType::kI32))});
}

}  // namespace

void register_non_zero(opdef::OpRegistry& registry) {
  opdef::OpDef non_zero;
  non_zero.name = "NonZero";
  non_zero.doc = "Indices of the elements other than 0, in row-major order: one row per dim.";
  non_zero.inputs = {operand("X", opdef::kNumbers | opdef::kBools, "tensor")};
  non_zero.outputs = {operand("Y", opdef::kInt64, "[rank, count]", "")};
  non_zero.infer = infer_non_zero;
  non_zero.evaluate = evaluate_non_zero;
  non_zero.tensorflow = ctc_rules();
  non_zero.tensorflow.push_back(tensorflow("Where", import_where));
  non_zero.tensorflow.push_back(tensorflow("ListDiff", import_list_diff));
  registry.add(std::move(non_zero));

  opdef::OpDef compress;
  compress.name = "Compress";
  compress.doc =
      "The slices along `axis` (without it: the elements of the flattened input) whose condition "
      "is true.";
  compress.inputs = {operand("input", opdef::kAnyType, "tensor"),
                     operand("condition", opdef::kBools, "rank 1, at most as long as the axis", "")};
  compress.outputs = {operand("output", opdef::kAnyType, "what is kept")};
  compress.attrs = {opdef::optional_attr("axis", opdef::AttrKind::kInt, "dim that shrinks")};
  compress.infer = infer_compress;
  compress.tensorflow = {tensorflow("DynamicPartition", import_dynamic_partition)};
  compress.evaluate = evaluate_compress;
  registry.add(std::move(compress));
}

}  // namespace planish::ops
