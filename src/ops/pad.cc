// Pad: rows added (or, with negative pads, taken away) at both ends of axes, filled with a
// constant, the edge, the mirror image or the opposite side.
#include <algorithm>

#include "base/text.h"
#include "ops/composer.h"
#include "ops/content.h"
#include "ops/movement.h"
#include "opdef/import.h"

namespace planish::ops {
namespace {

constexpr std::string_view kModes[] = {"constant", "edge", "reflect", "wrap"};

// Begin and end pads of every axis.
struct Pads {
  std::vector<Dim> begin, end;
};

Result<std::vector<int>> padded_axes(const std::vector<int64_t>* axes, int rank) {
  if (axes) return ordered_axes("input 3 (axes)", *axes, rank);
  std::vector<int> all;
  for (int i = 0; i < rank; ++i) all.push_back(i);
  return all;
}

// What negative pads leave of an axis. `length + begin + end` must fit 64 bits: then this does.
int64_t kept_length(int64_t length, int64_t begin, int64_t end) {
  return length + std::min<int64_t>(begin, 0) + std::min<int64_t>(end, 0);
}

// A mode other than constant reads what negative pads leave.
Status check_mode(const std::string& mode, size_t axis, int64_t kept, int64_t most) {
  if (mode == "constant" || most <= 0) return ok_status();
  const bool enough = mode == "reflect" ? most <= kept - 1 : kept >= 1;
  if (enough) return ok_status();
  return invalid_argument(cat("input 1 (pads): mode ", mode, " cannot pad axis ", axis,
                              " of length ", kept, " by ", most));
}

Result<Shape> padded_shape(const InferContext& ctx, const Pads& pads) {
  Shape shape = ctx.shape(0);
  const std::string& mode = ctx.attr_string("mode");
  for (size_t i = 0; i < shape.size(); ++i) {
    const Dim &begin = pads.begin[i], &end = pads.end[i];
    const Dim padded = shape[i] + begin + end;
    if (begin.is_constant() && end.is_constant() && shape[i].is_constant() && padded.valid()) {
      const int64_t length = shape[i].value(), b = begin.value(), e = end.value();
      const int64_t kept = kept_length(length, b, e);
      if (kept < 0) {
        return invalid_argument(cat("input 1 (pads): ", b, " and ", e, " take more than axis ", i,
                                    " of length ", length, " has"));
      }
      PLANISH_RETURN_IF_ERROR(check_mode(mode, i, kept, std::max(b, e)));
    }
    shape[i] = padded;
  }
  return shape;
}

Status infer(InferContext& ctx) {
  const std::string& mode = ctx.attr_string("mode");
  if (std::find(std::begin(kModes), std::end(kModes), mode) == std::end(kModes)) {
    return bad_attr("mode", mode, "constant, edge, reflect or wrap");
  }
  if (ctx.has_input(2)) PLANISH_RETURN_IF_ERROR(check_single(ctx, 2));
  const int rank = ctx.rank(0);
  std::optional<std::vector<int64_t>> axis_list;
  if (ctx.has_input(3)) {
    axis_list = ctx.ints(3);
    if (!axis_list) {
      return set_sized_output(ctx, 0, ctx.dtype(0), data_shape(ctx, "pad", rank));
    }
  }
  PLANISH_ASSIGN_OR_RETURN(const std::vector<int> axes,
                           padded_axes(axis_list ? &*axis_list : nullptr, rank));
  PLANISH_ASSIGN_OR_RETURN(const int64_t length, list_length(ctx, 1));
  if (length != 2 * int64_t(axes.size())) {
    return invalid_argument(cat("input 1 (pads): got ", length, " elements, expected ",
                                2 * axes.size(), ", two per axis"));
  }
  const std::optional<std::vector<Dim>> given = small_content(ctx, 1);
  if (!given) {
    Shape shape = ctx.shape(0);
    for (int a : axes) shape[size_t(a)] = data_dim(ctx, "pad");
    return set_sized_output(ctx, 0, ctx.dtype(0), std::move(shape));
  }
  Pads pads{std::vector<Dim>(size_t(rank), 0), std::vector<Dim>(size_t(rank), 0)};
  for (size_t i = 0; i < axes.size(); ++i) {
    pads.begin[size_t(axes[i])] = (*given)[i];
    pads.end[size_t(axes[i])] = (*given)[i + axes.size()];
  }
  PLANISH_ASSIGN_OR_RETURN(Shape shape, padded_shape(ctx, pads));
  return set_sized_output(ctx, 0, ctx.dtype(0), std::move(shape));
}

// The index on an axis of `dim` that index `i` of the output reads, -1 for the constant.
// `begin` and `end` are the pads; what negative ones cut away is never read.
int64_t source(int64_t i, int64_t dim, int64_t begin, int64_t end, std::string_view mode) {
  const int64_t low = std::max<int64_t>(0, -begin);
  const int64_t kept = kept_length(dim, begin, end);
  int64_t at = i - std::max<int64_t>(begin, 0);
  if (at < 0 || at >= kept) {
    if (mode == "constant") return -1;
    if (mode == "edge") at = std::clamp<int64_t>(at, 0, kept - 1);
    if (mode == "reflect") at = at < 0 ? -at : 2 * (kept - 1) - at;
    if (mode == "wrap") at = ((at % kept) + kept) % kept;
  }
  return low + at;
}

Status evaluate(EvalContext& ctx) {
  const Tensor& in = ctx.input(0);
  Tensor& out = ctx.output(0);
  const std::string& mode = ctx.attr_string("mode");
  if (mode == "constant" && ctx.has_input(2)) fill(out, ctx.input(2));
  const int rank = in.rank();
  std::vector<int64_t> begin(size_t(rank), 0), end(size_t(rank), 0);
  const int64_t count = ctx.input(1).count() / 2;
  for (int64_t i = 0; i < count; ++i) {
    const size_t axis =
        size_t(wrap_axis(ctx.has_input(3) ? ctx.input(3).i64(i) : i, rank));
    begin[axis] = ctx.input(1).i64(i);
    end[axis] = ctx.input(1).i64(i + count);
  }
  const std::vector<int64_t> strides = ir::strides_of(in.dims());
  ElementMover mover(in, out);
  int64_t to = 0;
  for_each_index(out.dims(), [&](std::span<const int64_t> index) {
    int64_t from = 0;
    for (size_t a = 0; a < index.size() && from >= 0; ++a) {
      const int64_t at = source(index[a], in.dims()[a], begin[a], end[a], mode);
      from = at < 0 ? -1 : from + at * strides[a];
    }
    if (from >= 0) mover.copy(to, from);
    ++to;
  });
  return ok_status();
}

// Up to opset 10 pads and value were attributes.
Status import_attributes(const opdef::NodeView& node, opdef::ImportContext& context) {
  if (!node.has_input(0)) return invalid_argument("input 0 (data) is missing");
  const char* key = node.opset() < 2 ? "paddings" : "pads";
  if (!node.has_attr(key)) return invalid_argument(cat("attribute '", key, "' is missing"));
  PLANISH_ASSIGN_OR_RETURN(std::vector<int64_t> pads, node.attr_ints(key, {}));
  PLANISH_ASSIGN_OR_RETURN(const double value, node.attr_float("value", 0));
  PLANISH_ASSIGN_OR_RETURN(const std::string mode, node.attr_string("mode", "constant"));
  std::vector<ir::Value*> inputs = {node.input(0), context.constant_i64(std::move(pads)),
                                    context.scalar(value, node.input(0)->type.dtype)};
  PLANISH_ASSIGN_OR_RETURN(ir::Value* out,
                           context.add1("Pad", std::move(inputs), {{"mode", mode}}));
  context.set_output(0, out);
  return ok_status();
}

// TensorFlow's paddings are [rank, 2]; ours are all begins, then all ends.
ir::Value* pads_of(Composer& c, ir::Value* paddings) {
  ir::Value* pads = c.i64(paddings);
  if (const auto known = c.known(pads); known && known->size() % 2 == 0) {
    std::vector<int64_t> list;
    for (size_t side = 0; side < 2; ++side)
      for (size_t i = side; i < known->size(); i += 2) list.push_back((*known)[i]);
    return c.ints(list);
  }
  return c.reshape(c.transpose(pads, {1, 0}), {-1});
}
Status import_tensorflow_pad(const opdef::NodeView& node, opdef::ImportContext& ctx) {
  Composer c(node, ctx);
  Composer::Values inputs = {c.in(0), pads_of(c, c.in(1))};
  if (node.op_type() == "PadV2") inputs.push_back(c.in(2));
  return c.finish({c.op("Pad", inputs)});
}
// SYMMETRIC repeats the border's elements: mirrored slices are put in front and behind.
Status import_mirror_pad(const opdef::NodeView& node, opdef::ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value* x = c.in(0);
  if (c.attr_string("mode", "REFLECT") == "REFLECT")
    return c.finish({c.op("Pad", {x, pads_of(c, c.in(1))}, {{"mode", std::string("reflect")}})});
  const std::vector<int64_t> paddings = c.need(1, "paddings");
  for (int axis = 0; axis < c.rank(x) && c.ok() && size_t(2 * axis + 1) < paddings.size(); ++axis) {
    const int64_t begin = paddings[size_t(2 * axis)], end = paddings[size_t(2 * axis) + 1];
    if (begin < 0 || end < 0) return invalid_argument("negative paddings");
    Composer::Values parts = {x};
    if (begin > 0) parts.insert(parts.begin(), c.slice(x, axis, begin - 1, INT64_MIN, -1));
    if (end > 0) parts.push_back(c.slice(x, axis, INT64_MAX, -end - 1, -1));
    x = c.concat(parts, axis);
  }
  return c.finish({x});
}

}  // namespace

void register_pad(opdef::OpRegistry& registry) {
  opdef::OpDef def;
  def.name = "Pad";
  def.doc =
      "`data` with pads[i] elements before and pads[i + n] after on each of n `axes` (default: "
      "all). Negative pads take elements away. mode: constant (constant_value, default 0), edge "
      "(repeats the border), reflect (mirrors without repeating it), wrap (as on a torus).";
  def.inputs = {operand("data", opdef::kAnyType, "tensor"),
                operand("pads", opdef::kInt64, "begin of every axis, then end", ""),
                optional_operand("constant_value", opdef::kAnyType, "one element"),
                optional_operand("axes", opdef::kIndices, "axes that pads speaks of", "")};
  def.outputs = {operand("output", opdef::kAnyType, "padded tensor")};
  def.attrs = {opdef::string_attr("mode", "constant", "constant, edge, reflect or wrap")};
  def.kind = opdef::FusionKind::kInjective;
  def.host_inputs = 0b1010;
  def.infer = infer;
  def.evaluate = evaluate;
  def.onnx = {{"Pad", "", 1, 10, import_attributes}, {"Pad", "", 11}};
  def.tensorflow = {tensorflow("Pad", import_tensorflow_pad),
                    tensorflow("PadV2", import_tensorflow_pad),
                    tensorflow("MirrorPad", import_mirror_pad)};
  registry.add(std::move(def));
}

}  // namespace planish::ops
