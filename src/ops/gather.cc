// Gather, GatherElements, GatherND: elements picked by index tensors. Indices are data: each one is
// checked when the op runs, and one outside the axis is an error that names its position.
#include "base/text.h"
#include "ops/composer.h"
#include "ops/content.h"
#include "ops/movement.h"

namespace planish::ops {
namespace {

Status bad_index(int64_t index, int64_t position, int64_t size, int axis) {
  return invalid_argument(cat("input 1 (indices): element ", position, " is ", index,
                              ", expected ", -size, " to ", size - 1, " for axis ", axis,
                              " of length ", size));
}

// Indices of one axis, wrapped to 0..size-1.
Result<std::vector<int64_t>> wrapped_indices(const Tensor& indices, int64_t size, int axis) {
  std::vector<int64_t> out = indices.i64_values();
  for (size_t i = 0; i < out.size(); ++i) {
    const std::optional<int64_t> at = wrap_index(out[i], size);
    if (!at) return bad_index(out[i], int64_t(i), size, axis);
    out[i] = *at;
  }
  return out;
}

// --- Gather ---

Status set_gather_content(InferContext& ctx) {
  if (ctx.rank(0) != 1 || !carries_content(ctx, 0)) return ok_status();
  const std::optional<std::vector<Dim>> data = small_content(ctx, 0);
  const std::optional<std::vector<Dim>> indices = small_content(ctx, 1);
  if (!data || !indices) return ok_status();
  std::vector<Dim> out;
  for (const Dim& i : *indices) {
    if (!i.is_constant()) return ok_status();
    const std::optional<int64_t> at = wrap_index(i.value(), int64_t(data->size()));
    if (!at) return bad_index(i.value(), int64_t(out.size()), int64_t(data->size()), 0);
    out.push_back((*data)[size_t(*at)]);
  }
  ctx.set_content(0, std::move(out));
  return ok_status();
}

Status infer_gather(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 0, 1));
  PLANISH_ASSIGN_OR_RETURN(const int axis, ctx.axis("axis", ctx.rank(0)));
  const Shape &data = ctx.shape(0), &indices = ctx.shape(1);
  Shape shape(data.begin(), data.begin() + axis);
  shape.insert(shape.end(), indices.begin(), indices.end());
  shape.insert(shape.end(), data.begin() + axis + 1, data.end());
  PLANISH_RETURN_IF_ERROR(set_sized_output(ctx, 0, ctx.dtype(0), std::move(shape)));
  return set_gather_content(ctx);
}

Status evaluate_gather(EvalContext& ctx) {
  const Tensor& data = ctx.input(0);
  const int axis = wrap_axis(ctx.attr_int("axis"), data.rank());
  PLANISH_ASSIGN_OR_RETURN(const std::vector<int64_t> indices,
                           wrapped_indices(ctx.input(1), data.dim(axis), axis));
  const int64_t outer = product(data.dims(), 0, axis);
  const int64_t inner = product(data.dims(), axis + 1, data.rank());
  ElementMover mover(data, ctx.output(0));
  int64_t to = 0;
  for (int64_t o = 0; o < outer; ++o) {
    for (int64_t i : indices) {
      mover.copy(to, (o * data.dim(axis) + i) * inner, inner);
      to += inner;
    }
  }
  return ok_status();
}

// --- GatherElements ---

Status infer_gather_elements(InferContext& ctx) {
  const int rank = ctx.rank(0);
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 0, 1));
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 1, rank, rank));
  PLANISH_ASSIGN_OR_RETURN(const int axis, ctx.axis("axis", rank));
  for (int d = 0; d < rank; ++d) {
    const Dim &data = ctx.shape(0)[size_t(d)], &index = ctx.shape(1)[size_t(d)];
    if (d == axis || !data.is_constant() || !index.is_constant()) continue;
    if (index.value() > data.value()) {
      return invalid_argument(cat("input 1 (indices): dim ", d, " is ", index.value(),
                                  ", expected at most ", data.value(), " as in data"));
    }
  }
  return set_sized_output(ctx, 0, ctx.dtype(0), ctx.shape(1));
}

Status evaluate_gather_elements(EvalContext& ctx) {
  const Tensor& data = ctx.input(0);
  const int axis = wrap_axis(ctx.attr_int("axis"), data.rank());
  PLANISH_ASSIGN_OR_RETURN(const std::vector<int64_t> indices,
                           wrapped_indices(ctx.input(1), data.dim(axis), axis));
  const std::vector<int64_t> strides = ir::strides_of(data.dims());
  ElementMover mover(data, ctx.output(0));
  int64_t to = 0;
  for_each_index(ctx.input(1).dims(), [&](std::span<const int64_t> index) {
    int64_t from = 0;
    for (int d = 0; d < int(index.size()); ++d) {
      from += (d == axis ? indices[size_t(to)] : index[size_t(d)]) * strides[size_t(d)];
    }
    mover.copy(to++, from);
  });
  return ok_status();
}

// --- GatherND ---

Status infer_gather_nd(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 0, 1));
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 1, 1));
  const Shape &data = ctx.shape(0), &indices = ctx.shape(1);
  const int64_t batch = ctx.attr_int("batch_dims");
  const int64_t most = std::min(ctx.rank(0), ctx.rank(1)) - 1;
  if (batch < 0 || batch > most) {
    return bad_attr("batch_dims", cat(batch), cat("0 to ", most));
  }
  for (int64_t i = 0; i < batch; ++i) {
    PLANISH_RETURN_IF_ERROR(check_same_dim(cat("input 1 (indices), batch dim ", i),
                                           indices[size_t(i)], data[size_t(i)]));
  }
  const Dim& depth = indices.back();
  if (!depth.is_constant()) {
    return unsupported(cat("input 1 (indices): the last dim ", depth.to_string(),
                           " is not known at build time, so the rank of the output is not"));
  }
  if (depth.value() < 1 || depth.value() > ctx.rank(0) - batch) {
    return invalid_argument(cat("input 1 (indices): the last dim is ", depth.value(),
                                ", expected 1 to ", ctx.rank(0) - batch));
  }
  Shape shape(indices.begin(), indices.end() - 1);
  shape.insert(shape.end(), data.begin() + batch + depth.value(), data.end());
  return set_sized_output(ctx, 0, ctx.dtype(0), std::move(shape));
}

Status evaluate_gather_nd(EvalContext& ctx) {
  const Tensor &data = ctx.input(0), &indices = ctx.input(1);
  const int batch = int(ctx.attr_int("batch_dims"));
  const int depth = int(indices.dims().back());
  const std::vector<int64_t> strides = ir::strides_of(data.dims());
  const int64_t batches = product(data.dims(), 0, batch);
  const int64_t batch_size = product(data.dims(), batch, data.rank());
  const int64_t rows = product(indices.dims(), batch, indices.rank() - 1);
  const int64_t slice = product(data.dims(), batch + depth, data.rank());
  const std::vector<int64_t> values = indices.i64_values();
  ElementMover mover(data, ctx.output(0));
  size_t next = 0;
  for (int64_t row = 0; row < batches * rows; ++row) {
    int64_t from = row / rows * batch_size;
    for (int k = 0; k < depth; ++k, ++next) {
      const int64_t size = data.dim(batch + k);
      const std::optional<int64_t> at = wrap_index(values[next], size);
      if (!at) return bad_index(values[next], int64_t(next), size, batch + k);
      from += *at * strides[size_t(batch + k)];
    }
    mover.copy(row * slice, from, slice);
  }
  return ok_status();
}

opdef::OpDef gather_def(std::string name, std::string doc, opdef::TypeSet index_types,
                        opdef::AttrSpec attr, Status (*infer)(InferContext&),
                        Status (*evaluate)(EvalContext&)) {
  opdef::OpDef def;
  def.name = std::move(name);
  def.doc = std::move(doc);
  def.inputs = {operand("data", opdef::kAnyType, "tensor to pick from"),
                operand("indices", index_types, "indices; negative ones count from the back", "")};
  def.outputs = {operand("output", opdef::kAnyType, "the picked elements")};
  def.attrs = {std::move(attr)};
  def.kind = opdef::FusionKind::kInjective;
  def.infer = infer;
  def.evaluate = evaluate;
  return def;
}

Status import_gather_v2(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value *x = c.in(0), *indices = c.in(1);
  int64_t axis = node.op_type() == "Gather" ? 0 : c.axis(c.need_one(2, "axis"), c.rank(x));
  int64_t batch = c.attr_int("batch_dims", 0);
  if (batch < 0) batch += c.rank(indices);
  if (batch == 0) return c.finish({c.op("Gather", {x, indices}, {{"axis", axis}})});
  if (batch != axis) return unsupported(cat("batch_dims is ", batch, " and axis ", axis));
  ir::Value* tuples = c.unsqueeze(c.i64(indices), {c.rank(indices)});
  return c.finish({c.op("GatherND", {x, tuples}, {{"batch_dims", batch}})});
}
Status import_gather_nd(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  return c.finish({c.op("GatherND", {c.in(0), c.i64(c.in(1))})});
}

}  // namespace

void register_gather(opdef::OpRegistry& registry) {
  opdef::OpDef def = gather_def("Gather", "Slices of `data` along `axis`, one per element of `indices`.",
                          opdef::kIndices, opdef::int_attr("axis", 0, "dim that indices replace"),
                                infer_gather, evaluate_gather);
  def.tensorflow = {tensorflow("Gather", import_gather_v2), tensorflow("GatherV2", import_gather_v2)};
  registry.add(std::move(def));
  registry.add(gather_def(
      "GatherElements",
      "An element per index: its position in `indices`, with the index itself along `axis`.",
      opdef::kIndices, opdef::int_attr("axis", 0, "dim that the index stands for"),
      infer_gather_elements, evaluate_gather_elements));
  def = gather_def(
      "GatherND",
      "Slices of `data`, one per index tuple in the last dim of `indices`; the first batch_dims "
      "dims of both run in step.",
      opdef::kInt64, opdef::int_attr("batch_dims", 0, "leading dims in common"), infer_gather_nd,
      evaluate_gather_nd);
  def.tensorflow = {tensorflow("GatherNd", import_gather_nd)};
  registry.add(std::move(def));
}

}  // namespace planish::ops
