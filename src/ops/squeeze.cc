// Squeeze, Unsqueeze and Flatten: the same elements with dims of 1 dropped, added or all dims
// collapsed to two. They are views; Reshape is their general form.
#include <algorithm>

#include "base/text.h"
#include "ops/composer.h"
#include "ops/content.h"
#include "ops/movement.h"
#include "opdef/import.h"

namespace planish::ops {
namespace {

void copy_all(const Tensor& in, Tensor& out) { ElementMover(in, out).copy(0, 0, in.count()); }

Status set_view(InferContext& ctx, Shape shape) {
  PLANISH_RETURN_IF_ERROR(set_sized_output(ctx, 0, ctx.dtype(0), std::move(shape)));
  set_moved_content(ctx, copy_all);
  return ok_status();
}

Status evaluate_view(EvalContext& ctx) {
  ctx.set_output(0, ctx.input(0).reshaped(ctx.output_dims(0)));
  return ok_status();
}

// The axes are data: only their number, and with it the rank, is known.
Status set_unknown_view(InferContext& ctx, bool adds) {
  PLANISH_ASSIGN_OR_RETURN(const int64_t count, list_length(ctx, 1));
  const int64_t rank = ctx.rank(0) + (adds ? count : -count);
  if (rank < 0) {
    return invalid_argument(cat("input 1 (axes): got ", count, " axes for rank ", ctx.rank(0)));
  }
  const Dim total = ir::element_count(ctx.shape(0));
  return set_sized_output(ctx, 0, ctx.dtype(0), data_shape(ctx, "axes", rank, total));
}

Status infer_squeeze(InferContext& ctx) {
  const Shape& in = ctx.shape(0);
  std::vector<bool> drop(in.size(), false);
  if (ctx.has_input(1)) {
    const std::optional<std::vector<int64_t>> axes = ctx.ints(1);
    if (!axes) return set_unknown_view(ctx, false);
    PLANISH_ASSIGN_OR_RETURN(const std::vector<int> normal,
                             normalize_axes("input 1 (axes)", *axes, ctx.rank(0)));
    for (int a : normal) {
      PLANISH_RETURN_IF_ERROR(check_same_dim(cat("dim of axis ", a), in[size_t(a)], 1));
      drop[size_t(a)] = true;
    }
  } else {
    for (size_t i = 0; i < in.size(); ++i) {
      if (!in[i].is_constant()) {
        return unsupported(cat("Squeeze without axes of shape ", ir::to_string(in), ": whether ",
                               in[i].to_string(), " is 1, and so the rank, is not known"));
      }
      drop[i] = in[i].value() == 1;
    }
  }
  Shape out;
  for (size_t i = 0; i < in.size(); ++i) {
    if (!drop[i]) out.push_back(in[i]);
  }
  return set_view(ctx, std::move(out));
}

Status infer_unsqueeze(InferContext& ctx) {
  const std::optional<std::vector<int64_t>> axes = ctx.ints(1);
  if (!axes) return set_unknown_view(ctx, true);
  const int rank = ctx.rank(0) + int(axes->size());
  PLANISH_ASSIGN_OR_RETURN(const std::vector<int> normal,
                           normalize_axes("input 1 (axes)", *axes, rank));
  Shape out;
  size_t next = 0;
  for (int i = 0; i < rank; ++i) {
    const bool added = std::binary_search(normal.begin(), normal.end(), i);
    out.push_back(added ? Dim(1) : ctx.shape(0)[next++]);
  }
  return set_view(ctx, std::move(out));
}

Status infer_flatten(InferContext& ctx) {
  const int rank = ctx.rank(0);
  const int64_t axis = ctx.attr_int("axis");
  // Unlike elsewhere, axis = rank is allowed: everything in front.
  if (axis < -rank || axis > rank) {
    return bad_attr("axis", cat(axis), cat(-rank, " to ", rank));
  }
  const int cut = wrap_axis(axis, rank);
  return set_view(ctx, {product(ctx.shape(0), 0, cut), product(ctx.shape(0), cut, rank)});
}

// Up to opset 12 the axes were an attribute.
Status import_axes_attribute(const opdef::NodeView& node, opdef::ImportContext& context) {
  if (!node.has_input(0)) return invalid_argument("input 0 (data) is missing");
  std::vector<ir::Value*> inputs = {node.input(0)};
  if (node.has_attr("axes")) {
    PLANISH_ASSIGN_OR_RETURN(std::vector<int64_t> axes, node.attr_ints("axes", {}));
    inputs.push_back(context.constant_i64(std::move(axes)));
  } else if (node.op_type() == "Unsqueeze") {
    return invalid_argument("attribute 'axes' is missing");
  }
  PLANISH_ASSIGN_OR_RETURN(ir::Value* out, context.add1(node.op_type(), std::move(inputs)));
  context.set_output(0, out);
  return ok_status();
}

std::vector<opdef::ImportRule> axes_rules(const std::string& name) {
  return {{name, "", 1, 12, import_axes_attribute}, {name, "", 13}};
}

opdef::OpDef view_def(std::string name, std::string doc, Status (*infer)(InferContext&)) {
  opdef::OpDef def;
  def.is_view = true;
  def.name = std::move(name);
  def.doc = std::move(doc);
  def.inputs = {operand("data", opdef::kAnyType, "tensor")};
  def.outputs = {operand("output", opdef::kAnyType, "the same elements")};
  def.kind = opdef::FusionKind::kInjective;
  def.infer = infer;
  def.evaluate = evaluate_view;
  return def;
}

Status import_tensorflow_squeeze(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  std::vector<int64_t> axes = c.attr_ints("squeeze_dims", c.attr_ints("axis", {}));
  ir::Value* x = c.in(0);
  if (!axes.empty()) return c.finish({c.squeeze(x, axes)});
  return c.finish({c.op("Squeeze", {x})});
}
Status import_expand_dims(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  return c.finish({c.unsqueeze(c.in(0), {c.need_one(1, "dim")})});
}

}  // namespace

void register_squeeze(opdef::OpRegistry& registry) {
  opdef::OpDef squeeze = view_def(
      "Squeeze", "Drops the dims of 1 that `axes` names, or every dim of 1 without `axes`.",
      infer_squeeze);
  squeeze.inputs.push_back(optional_operand("axes", opdef::kInt64, "dims to drop", ""));
  squeeze.host_inputs = 0b10;
  squeeze.onnx = axes_rules("Squeeze");
  squeeze.tensorflow = {tensorflow("Squeeze", import_tensorflow_squeeze)};
  registry.add(std::move(squeeze));

  opdef::OpDef unsqueeze = view_def(
      "Unsqueeze", "Adds dims of 1 at the positions `axes` of the output.", infer_unsqueeze);
  unsqueeze.inputs.push_back(operand("axes", opdef::kInt64, "positions in the output", ""));
  unsqueeze.host_inputs = 0b10;
  unsqueeze.onnx = axes_rules("Unsqueeze");
  unsqueeze.tensorflow = {tensorflow("ExpandDims", import_expand_dims)};
  registry.add(std::move(unsqueeze));

  opdef::OpDef flatten = view_def(
      "Flatten", "A matrix: the dims before `axis` multiplied, and those from `axis` on.",
      infer_flatten);
  flatten.attrs = {opdef::int_attr("axis", 1, "first dim of the second group, -rank to rank")};
  registry.add(std::move(flatten));
}

}  // namespace planish::ops
