// Split: a tensor cut along one axis into several. The sizes come as an input, or as a number of
// parts; importers bring the older attribute form and the implied "as many as outputs" to these.
#include <algorithm>

#include "base/text.h"
#include "ops/composer.h"
#include "ops/content.h"
#include "ops/movement.h"
#include "opdef/import.h"

namespace planish::ops {
namespace {

Result<std::vector<Dim>> given_sizes(InferContext& ctx, const Dim& whole) {
  const int n = ctx.output_count();
  PLANISH_ASSIGN_OR_RETURN(const int64_t length, list_length(ctx, 1));
  if (length != n) {
    return invalid_argument(cat("input 1 (split): got ", length, " sizes for ", n, " outputs"));
  }
  std::optional<std::vector<Dim>> sizes = small_content(ctx, 1);
  if (!sizes) {
    std::vector<Dim> unknown;
    for (int i = 0; i < n; ++i) unknown.push_back(data_dim(ctx, "split", whole));
    return unknown;
  }
  Dim sum = 0;
  for (const Dim& s : *sizes) {
    if (s.is_constant() && s.value() < 0) {
      return invalid_argument(cat("input 1 (split): got size ", s.value(), ", expected 0 or more"));
    }
    sum = sum + s;
  }
  if (!sum.valid()) return invalid_argument("input 1 (split): the sum of the sizes overflows");
  PLANISH_RETURN_IF_ERROR(check_same_dim("sum of input 1 (split)", sum, whole));
  return std::move(*sizes);
}

Result<std::vector<Dim>> equal_sizes(InferContext& ctx, const Dim& whole) {
  const int64_t n = ctx.output_count();
  const int64_t parts = ctx.has_attr("num_outputs") ? ctx.attr_int("num_outputs") : n;
  if (parts < 1 || parts != n) {
    return bad_attr("num_outputs", cat(parts), cat(n, ", the number of outputs"));
  }
  const std::optional<Dim> exact = exact_quotient(whole, Dim(parts));
  if (exact) return std::vector<Dim>(size_t(parts), *exact);
  // Rounding up can use the dim up before the last part: what is left over is then 0.
  const Dim size = ceildiv(whole, Dim(parts));
  std::vector<Dim> sizes;
  for (int64_t i = 0; i < parts; ++i) {
    const Dim left = whole - size * Dim(i);
    sizes.push_back(whole.is_constant() ? Dim(std::clamp<int64_t>(left.value(), 0, size.value()))
                                        : max(min(left, size), Dim(0)));
  }
  return sizes;
}

Status infer(InferContext& ctx) {
  PLANISH_ASSIGN_OR_RETURN(const int axis, ctx.axis("axis", ctx.rank(0)));
  const Dim whole = ctx.shape(0)[size_t(axis)];
  if (ctx.has_input(1) && ctx.has_attr("num_outputs")) {
    return bad_attr("num_outputs", "a value", "none beside the input 'split'");
  }
  PLANISH_ASSIGN_OR_RETURN(
      const std::vector<Dim> sizes,
      ctx.has_input(1) ? given_sizes(ctx, whole) : equal_sizes(ctx, whole));
  const std::optional<std::vector<Dim>> content =
      ctx.rank(0) == 1 ? small_content(ctx, 0) : std::nullopt;
  size_t begin = 0;
  for (int i = 0; i < ctx.output_count(); ++i) {
    Shape shape = ctx.shape(0);
    shape[size_t(axis)] = sizes[size_t(i)];
    PLANISH_RETURN_IF_ERROR(set_sized_output(ctx, i, ctx.dtype(0), std::move(shape)));
    if (!content || !sizes[size_t(i)].is_constant()) continue;
    const size_t end = begin + size_t(sizes[size_t(i)].value());
    if (end > content->size()) continue;
    if (carries_content(ctx, i)) {
      ctx.set_content(i, std::vector<Dim>(content->begin() + std::ptrdiff_t(begin),
                                          content->begin() + std::ptrdiff_t(end)));
    }
    begin = end;
  }
  return ok_status();
}

Status evaluate(EvalContext& ctx) {
  const Tensor& in = ctx.input(0);
  const int axis = wrap_axis(ctx.attr_int("axis"), in.rank());
  const int64_t outer = product(in.dims(), 0, axis);
  const int64_t inner = product(in.dims(), axis + 1, in.rank());
  const int64_t row = in.dim(axis) * inner;
  int64_t offset = 0;
  for (int i = 0; i < ctx.output_count(); ++i) {
    Tensor& out = ctx.output(i);
    const int64_t part = out.dim(axis) * inner;
    ElementMover mover(in, out);
    for (int64_t o = 0; o < outer; ++o) mover.copy(o * part, o * row + offset, part);
    offset += part;
  }
  return ok_status();
}

Status import_split(const opdef::NodeView& node, opdef::ImportContext& context) {
  if (!node.has_input(0)) return invalid_argument("input 0 (input) is missing");
  const int n = node.output_count();
  if (n < 1) return invalid_argument("got no outputs, expected at least one");
  PLANISH_ASSIGN_OR_RETURN(const int64_t axis, node.attr_int("axis", 0));
  ir::Attributes attrs = {{"axis", axis}};
  std::vector<ir::Value*> inputs = {node.input(0)};
  if (node.has_input(1) && node.has_attr("num_outputs")) {
    return bad_attr("num_outputs", "a value", "none beside the input 'split'");
  }
  if (node.has_input(1)) {
    inputs.push_back(node.input(1));
  } else if (node.opset() < 13 && node.has_attr("split")) {
    PLANISH_ASSIGN_OR_RETURN(std::vector<int64_t> sizes, node.attr_ints("split", {}));
    inputs.push_back(context.constant_i64(std::move(sizes)));
  } else {
    PLANISH_ASSIGN_OR_RETURN(const int64_t parts, node.attr_int("num_outputs", n));
    const ir::Shape& shape = node.input(0)->type.shape;
    if (node.opset() < 18 && axis >= -int64_t(shape.size()) && axis < int64_t(shape.size())) {
      const std::optional<int64_t> dim =
          shape[size_t(wrap_axis(axis, int(shape.size())))].constant();
      // Unequal parts came with opset 18.
      if (dim && *dim % n != 0) {
        return invalid_argument(cat("dim ", *dim, " does not split into ", n, " equal outputs"));
      }
    }
    attrs["num_outputs"] = parts;
  }
  PLANISH_ASSIGN_OR_RETURN(const std::vector<ir::Value*> outs,
                           context.add("Split", std::move(inputs), std::move(attrs), n));
  for (int i = 0; i < n; ++i) context.set_output(i, outs[size_t(i)]);
  return ok_status();
}

Composer::Values parts_of(Composer& c, ir::Value* x, int64_t axis, int64_t count) {
  if (count < 1 || count > 100000) {
    c.fail(invalid_argument(cat("got ", count, " parts, expected 1 to 100000")));
    return {};
  }
  return c.ops("Split", {x}, {{"axis", axis}, {"num_outputs", count}}, int(count));
}
Status import_tensorflow_split(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  const int64_t axis = c.need_one(0, "axis"), count = c.attr_int("num_split", 0);
  return c.finish(parts_of(c, c.in(1), axis, count));
}
Status import_split_v(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value* x = c.in(0);
  const int64_t axis = c.axis(c.need_one(2, "axis"), c.rank(x));
  std::vector<int64_t> sizes = c.need(1, "size_splits");
  int64_t rest = 0;
  for (int64_t size : sizes) rest += std::max<int64_t>(size, 0);
  for (int64_t& size : sizes)
    if (size == -1) size = c.need_dim(x, axis, "the axis that is split") - rest;
  if (sizes.empty()) return invalid_argument("input 1 (size_splits) is empty");
  return c.finish(c.ops("Split", {x, c.ints(sizes)}, {{"axis", axis}}, int(sizes.size())));
}
Status import_unpack(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value* x = c.in(0);
  const int64_t axis = c.axis(c.attr_int("axis", 0), c.rank(x));
  Composer::Values rows = parts_of(c, x, axis, c.attr_int("num", 0));
  for (ir::Value*& row : rows) row = c.squeeze(row, {axis});
  return c.finish(rows);
}

}  // namespace

void register_split(opdef::OpRegistry& registry) {
  opdef::OpDef def;
  def.name = "Split";
  def.doc =
      "Consecutive parts of `input` along `axis`: of the sizes in `split`, or num_outputs parts of "
      "ceil(dim / num_outputs), the last one smaller where that does not divide.";
  def.inputs = {operand("input", opdef::kAnyType, "tensor"),
                optional_operand("split", opdef::kInt64, "size of each output", "")};
  def.outputs = {variadic_operand("outputs", opdef::kAnyType, "the parts in order")};
  def.attrs = {opdef::int_attr("axis", 0, "dim that is cut"),
               opdef::optional_attr("num_outputs", opdef::AttrKind::kInt, "number of parts")};
  def.kind = opdef::FusionKind::kInjective;
  def.host_inputs = 0b10;
  def.infer = infer;
  def.evaluate = evaluate;
  def.onnx = {{"Split", "", 1, 1 << 30, import_split}};
  def.tensorflow = {tensorflow("Split", import_tensorflow_split),
                    tensorflow("SplitV", import_split_v), tensorflow("Unpack", import_unpack)};
  registry.add(std::move(def));
}

}  // namespace planish::ops
