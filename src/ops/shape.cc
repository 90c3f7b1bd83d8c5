// Shape and Size: dims as data. Their content is what shape arithmetic starts from.
#include <algorithm>

#include "ops/composer.h"
#include "ops/content.h"

namespace planish::ops {
namespace {

// [start, end) of the dims that Shape gives, clamped to 0..rank.
std::pair<int64_t, int64_t> bounds(const ir::Attributes& attrs, int64_t rank) {
  auto bound = [&](std::string_view key, int64_t fallback) {
    auto found = attrs.find(key);
    if (found == attrs.end()) return fallback;
    const int64_t v = std::get<int64_t>(found->second);
    return std::clamp<int64_t>(v < 0 ? v + rank : v, 0, rank);
  };
  const int64_t start = bound("start", 0);
  return {start, std::max(start, bound("end", rank))};
}

Status infer_shape(InferContext& ctx) {
  const Shape& shape = ctx.shape(0);
  const auto [start, end] = bounds(ctx.attrs(), ctx.rank(0));
  ctx.set_output(0, DataType::kI64, {Dim(end - start)});
  ctx.set_content(0, Shape(shape.begin() + start, shape.begin() + end));
  return ok_status();
}

Status evaluate_shape(EvalContext& ctx) {
  const std::vector<int64_t>& dims = ctx.input(0).dims();
  const auto [start, end] = bounds(ctx.attrs(), int64_t(dims.size()));
  Tensor& out = ctx.output(0);
  for (int64_t i = start; i < end; ++i) out.set_i64(i - start, dims[size_t(i)]);
  return ok_status();
}

Status infer_size(InferContext& ctx) {
  ctx.set_output(0, DataType::kI64, {});
  ctx.set_content(0, {ir::element_count(ctx.shape(0))});
  return ok_status();
}

Status evaluate_size(EvalContext& ctx) {
  ctx.output(0).set_i64(0, ctx.input(0).count());
  return ok_status();
}

// Shape, ShapeN and Size give i32 unless out_type says i64.
Status import_shapes(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  const DataType type = c.attr_type("out_type", DataType::kI32);
  const std::string name = node.op_type() == "Size" ? "Size" : "Shape";
  Composer::Values out;
  for (ir::Value* x : c.all_inputs()) out.push_back(c.cast(c.op(name, {x}), type));
  return c.finish(out);
}
Status import_rank(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  const int64_t rank = c.rank(c.in(0));
  return c.finish({c.constant(Tensor::from_i64(DataType::kI32, {}, std::span(&rank, 1)))});
}

}  // namespace

void register_shape(opdef::OpRegistry& registry) {
  opdef::OpDef shape;
  shape.name = "Shape";
  shape.doc = "The dims of `data` from `start` to before `end`, negative ones from the back.";
  shape.inputs = {operand("data", opdef::kAnyType, "tensor")};
  shape.outputs = {operand("shape", opdef::kInt64, "dims, rank 1", "")};
  shape.attrs = {opdef::int_attr("start", 0, "first dim"),
                 opdef::optional_attr("end", opdef::AttrKind::kInt,
                                      "dim past the last; absent: the rank")};
  shape.infer = infer_shape;
  shape.evaluate = evaluate_shape;
  shape.tensorflow = {tensorflow("Shape", import_shapes), tensorflow("ShapeN", import_shapes),
                      tensorflow("Rank", import_rank)};
  registry.add(std::move(shape));

  opdef::OpDef size;
  size.name = "Size";
  size.doc = "The number of elements of `data`.";
  size.inputs = {operand("data", opdef::kAnyType, "tensor")};
  size.outputs = {operand("size", opdef::kInt64, "count, rank 0", "")};
  size.infer = infer_size;
  size.evaluate = evaluate_size;
  size.tensorflow = {tensorflow("Size", import_shapes)};
  registry.add(std::move(size));
}

}  // namespace planish::ops
