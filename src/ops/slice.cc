// Slice: NumPy's x[start:end:step] on any axes. Starts and ends count from the back when negative
// and clamp to the dim; over symbolic dims the length stays an exact expression wherever the sign
// of the bounds is known, and becomes a data-decided symbol elsewhere.
#include <algorithm>

#include "base/text.h"
#include "ops/composer.h"
#include "ops/content.h"
#include "ops/movement.h"
#include "opdef/import.h"

namespace planish::ops {
namespace {

struct Span {
  int64_t start = 0, length = 0, step = 1;
};

// One axis in plain numbers; step != 0.
Span resolve(int64_t dim, int64_t start, int64_t end, int64_t step) {
  const int64_t low = step > 0 ? 0 : -1, high = step > 0 ? dim : dim - 1;
  auto clamp = [&](int64_t v) { return std::clamp(v < 0 ? v + dim : v, low, std::max(low, high)); };
  Span span{clamp(start), 0, step};
  // dim < 0 never; v + dim cannot overflow as the signs differ.
  const int64_t last = clamp(end);
  if (step > 0 && span.start < last) span.length = (last - span.start - 1) / step + 1;
  if (step < 0 && span.start > last) {
    const int64_t stride = step == INT64_MIN ? INT64_MAX : -step;
    span.length = (span.start - last - 1) / stride + 1;
  }
  return span;
}

// Bound `v` of an axis of `dim`, from the front and clamped to [low, high]; nullopt when the sign
// of v is not known.
std::optional<Dim> clamp_bound(const InferContext& ctx, const Dim& v, const Dim& dim,
                               const Dim& low, const Dim& high) {
  // Exporters write the largest and smallest integers for "to the end"; sums with them overflow.
  if (v.is_constant() && v.value() >= INT32_MAX) return high;
  if (v.is_constant() && v.value() <= INT32_MIN) return low;
  Dim from_front = v;
  if (at_least(ctx, Dim(-1) - v, 0)) {
    from_front = dim + v;  // counts from the back
  } else if (!at_least(ctx, v, 0)) {
    return std::nullopt;
  }
  if (at_least(ctx, from_front - high, 0)) return high;
  if (at_least(ctx, low - from_front, 0)) return low;
  if (!at_least(ctx, from_front, low.value())) from_front = max(from_front, low);
  if (!at_least(ctx, high - from_front, 0)) from_front = min(from_front, high);
  return from_front;
}

// Length over a symbolic dim or bounds.
Dim symbolic_length(InferContext& ctx, const Dim& dim, const Dim& start, const Dim& end,
                    int64_t step) {
  const Dim low = step > 0 ? 0 : -1, high = step > 0 ? dim : dim - Dim(1);
  const std::optional<Dim> first = clamp_bound(ctx, start, dim, low, high);
  const std::optional<Dim> last = clamp_bound(ctx, end, dim, low, high);
  if (!first || !last) return data_dim(ctx, "slice", dim);
  const int64_t stride = step == INT64_MIN ? INT64_MAX : std::abs(step);
  const Dim extent = step > 0 ? *last - *first : *first - *last;
  const Dim length = ceildiv(extent, Dim(stride));
  return at_least(ctx, extent, 0) ? length : max(length, Dim(0));
}

struct Request {
  std::vector<int> axes;
  std::optional<std::vector<Dim>> starts, ends;
  std::optional<std::vector<int64_t>> steps;  // ones when absent
};

Result<Request> read_request(const InferContext& ctx) {
  Request request;
  const int rank = ctx.rank(0);
  PLANISH_ASSIGN_OR_RETURN(const int64_t count, list_length(ctx, 1));
  for (int i = 2; i < 5; ++i) {
    if (!ctx.has_input(i)) continue;
    PLANISH_ASSIGN_OR_RETURN(const int64_t length, list_length(ctx, i));
    if (length != count) {
      return invalid_argument(cat(input_name(ctx, i), ": got ", length, " elements, expected ",
                                  count, " as in starts"));
    }
  }
  if (count > rank) {
    return invalid_argument(cat("input 1 (starts): got ", count, " elements, expected at most ",
                                rank, ", the rank of ", ir::to_string(ctx.shape(0))));
  }
  request.starts = small_content(ctx, 1);
  request.ends = small_content(ctx, 2);
  if (ctx.has_input(3)) {
    const std::optional<std::vector<int64_t>> axes = ctx.ints(3);
    if (axes) {
      PLANISH_ASSIGN_OR_RETURN(request.axes, ordered_axes("input 3 (axes)", *axes, rank));
    } else {
      // Any axis may be cut.
      for (int i = 0; i < rank; ++i) request.axes.push_back(i);
      request.starts.reset();
    }
  } else {
    for (int i = 0; i < int(count); ++i) request.axes.push_back(i);
  }
  if (ctx.has_input(4)) {
    request.steps = ctx.ints(4);
    if (request.steps) {
      for (int64_t step : *request.steps) {
        if (step == 0) return invalid_argument("input 4 (steps): got 0, expected another number");
      }
    }
  } else {
    request.steps = std::vector<int64_t>(size_t(count), 1);
  }
  return request;
}

void slice(const Tensor& in, const std::vector<Span>& spans, Tensor& out) {
  const std::vector<int64_t> strides = ir::strides_of(in.dims());
  StridedView view;
  for (size_t i = 0; i < spans.size(); ++i) {
    view.offset += spans[i].start * strides[i];
    if (spans[i].length == 0) return;
    // A step over the whole axis takes one element: its product would overflow.
    view.strides.push_back(spans[i].length == 1 ? 0 : spans[i].step * strides[i]);
  }
  copy_strided(in, view, out);
}

std::vector<Span> whole_spans(std::span<const int64_t> dims) {
  std::vector<Span> spans;
  for (int64_t d : dims) spans.push_back({0, d, 1});
  return spans;
}

void set_content(InferContext& ctx, const Request& request) {
  if (!ir::is_constant(ctx.shape(0))) return;
  const std::vector<int64_t> dims = ir::to_dims(ctx.shape(0));
  std::vector<Span> spans = whole_spans(dims);
  for (size_t i = 0; i < request.axes.size(); ++i) {
    const Dim &start = (*request.starts)[i], &end = (*request.ends)[i];
    if (!start.is_constant() || !end.is_constant()) return;
    const size_t axis = size_t(request.axes[i]);
    spans[axis] = resolve(dims[axis], start.value(), end.value(), (*request.steps)[i]);
  }
  set_moved_content(ctx, [&](const Tensor& in, Tensor& out) { slice(in, spans, out); });
}

Status infer(InferContext& ctx) {
  PLANISH_ASSIGN_OR_RETURN(const Request request, read_request(ctx));
  Shape shape = ctx.shape(0);
  const bool known = request.starts && request.ends && request.steps;
  for (size_t i = 0; i < request.axes.size(); ++i) {
    Dim& dim = shape[size_t(request.axes[i])];
    if (!known) {
      dim = data_dim(ctx, "slice", dim);
      continue;
    }
    const Dim &start = (*request.starts)[i], &end = (*request.ends)[i];
    const int64_t step = (*request.steps)[i];
    if (dim.is_constant() && start.is_constant() && end.is_constant()) {
      dim = resolve(dim.value(), start.value(), end.value(), step).length;
    } else {
      dim = symbolic_length(ctx, dim, start, end, step);
    }
  }
  PLANISH_RETURN_IF_ERROR(set_sized_output(ctx, 0, ctx.dtype(0), std::move(shape)));
  if (known) set_content(ctx, request);
  return ok_status();
}

Status evaluate(EvalContext& ctx) {
  const Tensor& in = ctx.input(0);
  std::vector<Span> spans = whole_spans(in.dims());
  for (int64_t i = 0; i < ctx.input(1).count(); ++i) {
    const int64_t axis = ctx.has_input(3) ? ctx.input(3).i64(i) : i;
    const int64_t step = ctx.has_input(4) ? ctx.input(4).i64(i) : 1;
    const size_t a = size_t(wrap_axis(axis, in.rank()));
    spans[a] = resolve(in.dim(int(a)), ctx.input(1).i64(i), ctx.input(2).i64(i), step);
  }
  slice(in, spans, ctx.output(0));
  return ok_status();
}

// Up to opset 9 starts, ends and axes were attributes.
Status import_attributes(const opdef::NodeView& node, opdef::ImportContext& context) {
  if (!node.has_input(0)) return invalid_argument("input 0 (data) is missing");
  if (!node.has_attr("starts") || !node.has_attr("ends")) {
    return invalid_argument("attributes 'starts' and 'ends' are required");
  }
  PLANISH_ASSIGN_OR_RETURN(std::vector<int64_t> starts, node.attr_ints("starts", {}));
  PLANISH_ASSIGN_OR_RETURN(std::vector<int64_t> ends, node.attr_ints("ends", {}));
  std::vector<ir::Value*> inputs = {node.input(0), context.constant_i64(std::move(starts)),
                                    context.constant_i64(std::move(ends))};
  if (node.has_attr("axes")) {
    PLANISH_ASSIGN_OR_RETURN(std::vector<int64_t> axes, node.attr_ints("axes", {}));
    inputs.push_back(context.constant_i64(std::move(axes)));
  }
  PLANISH_ASSIGN_OR_RETURN(ir::Value* out, context.add1("Slice", std::move(inputs)));
  context.set_output(0, out);
  return ok_status();
}

constexpr int64_t kToTheEnd = INT64_MAX;

// A size of -1 takes everything to the end.
Status import_tensorflow_slice(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value *x = c.in(0), *begin = c.i64(c.in(1)), *size = c.i64(c.in(2));
  const auto begins = c.known(begin), sizes = c.known(size);
  if (begins && sizes && begins->size() == sizes->size()) {
    std::vector<int64_t> ends;
    for (size_t i = 0; i < begins->size(); ++i)
      ends.push_back((*sizes)[i] == -1 ? kToTheEnd : (*begins)[i] + (*sizes)[i]);
    return c.finish({c.op("Slice", {x, c.ints(*begins), c.ints(ends)})});
  }
  ir::Value* end = c.add(begin, size);
  if (!sizes || std::count(sizes->begin(), sizes->end(), -1)) {
    ir::Value* open = c.op("Equal", {size, c.scalar_like(-1, size)});
    end = c.where(open, c.constant(Tensor::scalar_i64(kToTheEnd)), end);
  }
  return c.finish({c.op("Slice", {x, begin, end})});
}

// StridedSlice says per entry what happens to one axis of x; the masks are bits per entry.
struct StridedEntries {
  Composer::Values begins, ends;  // lists of one element
  std::vector<int64_t> axes, steps, shrunk, fresh;
};

Status import_strided_slice(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value *x = c.in(0), *begin = c.i64(c.in(1)), *end = c.i64(c.in(2));
  const std::vector<int64_t> strides = c.need(3, "strides");
  const auto begins = c.known(begin), ends = c.known(end);
  const auto mask = [&](std::string_view key) { return c.attr_int(key, 0); };
  const int64_t begin_mask = mask("begin_mask"), end_mask = mask("end_mask"),
                ellipsis_mask = mask("ellipsis_mask"), new_axis_mask = mask("new_axis_mask"),
                shrink_mask = mask("shrink_axis_mask");
  const int64_t count = int64_t(strides.size());
  if (!c.ok()) return c.finish({});
  if (count > 32) return invalid_argument(cat("got ", count, " entries, expected at most 32"));
  const auto bit = [](int64_t mask, int64_t i) { return (mask >> i & 1) != 0; };
  int64_t taken = 0;  // axes of x that entries speak of
  for (int64_t i = 0; i < count; ++i)
    if (!bit(ellipsis_mask, i) && !bit(new_axis_mask, i)) ++taken;
  if (taken > c.rank(x))
    return invalid_argument(cat("got ", taken, " entries for ", ir::to_string(x->type)));
  StridedEntries e;
  int64_t axis = 0, out_axis = 0;
  for (int64_t i = 0; i < count; ++i) {
    if (bit(ellipsis_mask, i)) {
      axis += c.rank(x) - taken;
      out_axis += c.rank(x) - taken;
      continue;
    }
    if (bit(new_axis_mask, i)) {
      e.fresh.push_back(out_axis++);
      continue;
    }
    const int64_t step = strides[size_t(i)];
    const bool shrinks = bit(shrink_mask, i);
    const auto element = [&](ir::Value* list, const auto& known) {
      return known && size_t(i) < known->size() ? c.ints({(*known)[size_t(i)]})
                                                : c.slice(list, 0, i, i + 1);
    };
    ir::Value* first = element(begin, begins);
    ir::Value* last = element(end, ends);
    if (shrinks) {
      const auto at = c.known(first);
      if (at && at->size() == 1) {
        last = c.ints({(*at)[0] == -1 ? kToTheEnd : (*at)[0] + 1});
      } else {
        ir::Value* is_last = c.op("Equal", {first, c.ints({-1})});
        last = c.where(is_last, c.ints({kToTheEnd}), c.add(first, c.ints({1})));
      }
      e.shrunk.push_back(axis);
    } else {
      if (bit(begin_mask, i)) first = c.ints({step > 0 ? 0 : kToTheEnd});
      if (bit(end_mask, i)) last = c.ints({step > 0 ? kToTheEnd : INT64_MIN});
      ++out_axis;
    }
    e.begins.push_back(first);
    e.ends.push_back(last);
    e.axes.push_back(axis++);
    e.steps.push_back(shrinks ? 1 : step);
  }
  if (!e.axes.empty()) {
    const auto list = [&](const Composer::Values& parts) {
      std::vector<int64_t> all;
      for (const ir::Value* part : parts) {
        const auto known = c.known(part);
        if (!known || known->size() != 1) return c.concat(parts, 0);
        all.push_back((*known)[0]);
      }
      return c.ints(all);
    };
    x = c.op("Slice", {x, list(e.begins), list(e.ends), c.ints(e.axes), c.ints(e.steps)});
  }
  return c.finish({c.unsqueeze(c.squeeze(x, e.shrunk), e.fresh)});
}

Status import_reverse(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value* x = c.in(0);
  std::vector<int64_t> axes = c.need(1, "axis");
  if (c.ok() && c.in(1)->type.dtype == DataType::kBool) {  // Reverse: a flag per axis
    std::vector<int64_t> chosen;
    for (size_t i = 0; i < axes.size(); ++i)
      if (axes[i]) chosen.push_back(int64_t(i));
    axes = chosen;
  }
  if (axes.empty()) return c.finish({c.op("Identity", {x})});
  const std::vector<int64_t> begin(axes.size(), kToTheEnd), end(axes.size(), INT64_MIN),
      step(axes.size(), -1);
  return c.finish({c.op("Slice", {x, c.ints(begin), c.ints(end), c.ints(axes), c.ints(step)})});
}

}  // namespace

void register_slice(opdef::OpRegistry& registry) {
  opdef::OpDef def;
  def.name = "Slice";
  def.doc =
      "data[start:end:step] on each of `axes` (default: the first ones), with NumPy's meaning: "
      "negative bounds count from the back, bounds clamp, a negative step runs backwards.";
  def.inputs = {operand("data", opdef::kAnyType, "tensor"),
                operand("starts", opdef::kIndices, "first index per axis", "Tind"),
                operand("ends", opdef::kIndices, "index past the last per axis", "Tind"),
                optional_operand("axes", opdef::kIndices, "axes that are cut", "Tind"),
                optional_operand("steps", opdef::kIndices, "steps, not 0; default 1", "Tind")};
  def.outputs = {operand("output", opdef::kAnyType, "the part")};
  def.kind = opdef::FusionKind::kInjective;
  def.host_inputs = 0b11110;
  def.infer = infer;
  def.evaluate = evaluate;
  def.onnx = {{"Slice", "", 1, 9, import_attributes}, {"Slice", "", 10}};
  def.tensorflow = {tensorflow("Slice", import_tensorflow_slice),
                    tensorflow("StridedSlice", import_strided_slice),
                    tensorflow("Reverse", import_reverse), tensorflow("ReverseV2", import_reverse)};
  registry.add(std::move(def));
}

}  // namespace planish::ops
