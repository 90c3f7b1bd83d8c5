// MaxUnpool: the inverse of MaxPool with indices; every value returns to the position it came from,
// all others are zero.
#include "base/text.h"
#include "ops/dims.h"
#include "ops/spatial.h"

namespace planish::ops {
namespace {

using opdef::EvalContext;
using opdef::kFloats;

Dim natural_size(const Window& window, size_t i, const Dim& input) {
  return (input - 1) * Dim(window.strides[i]) + window.extent(int(i)) - window.pads_begin[i] -
         window.pads_end[i];
}

Status infer_max_unpool(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 0, 3, 2 + kMaxSpatialRank));
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 1, ctx.rank(0), ctx.rank(0)));
  const Shape& x = ctx.shape(0);
  for (size_t i = 0; i < x.size(); ++i)
    PLANISH_RETURN_IF_ERROR(
        check_same_dim(cat("input 1 (I): dim ", i), ctx.shape(1)[i], x[i]));
  PLANISH_ASSIGN_OR_RETURN(Window window, kernel::window_of(ctx.attrs(), ctx.rank(0) - 2));
  Shape out = {x[0], x[1]};
  for (size_t i = 2; i < x.size(); ++i) out.push_back(natural_size(window, i - 2, x[i]));
  if (ctx.has_input(2)) {
    PLANISH_RETURN_IF_ERROR(check_rank(ctx, 2, 1, 1));
    PLANISH_RETURN_IF_ERROR(check_same_dim("input 2 (output_shape): length", ctx.shape(2)[0],
                                           int64_t(x.size())));
    std::optional<std::vector<Dim>> content = ctx.content(2);
    if (content && content->size() == x.size()) {
      for (size_t i = 2; i < x.size(); ++i) out[i] = (*content)[i];
    } else {
      for (size_t i = 2; i < x.size(); ++i)
        out[i] = data_dim(ctx, "unpooled");
    }
  }
  ctx.set_output(0, ctx.dtype(0), std::move(out));
  return ok_status();
}

// Indices count within the natural output, which a wished output_shape may exceed.
Status evaluate_max_unpool(EvalContext& ctx) {
  const Tensor& x = ctx.input(0);
  std::vector<int64_t> dims = ctx.output_dims(0);
  PLANISH_ASSIGN_OR_RETURN(Window window, kernel::window_of(ctx.attrs(), x.rank() - 2));
  std::vector<int64_t> natural(dims.begin(), dims.begin() + 2);
  for (size_t i = 2; i < dims.size(); ++i) {
    Dim size = natural_size(window, i - 2, x.dim(int(i)));
    natural.push_back(size.constant().value_or(0));
  }
  std::optional<int64_t> limit = ir::checked_element_count(natural);
  if (!limit) return bad_attr("pads", bracketed(window.pads_begin), "less than the output");
  std::vector<int64_t> strides = ir::strides_of(dims);
  std::vector<double> values = x.f64_values(), y(size_t(ir::element_count(dims)), 0.0);
  std::vector<int64_t> indices = ctx.input(1).i64_values();
  for (size_t k = 0; k < values.size(); ++k) {
    int64_t rest = indices[k], at = 0;
    if (rest < 0 || rest >= *limit)
      return invalid_argument(cat("input 1 (I): got index ", rest, ", expected 0 to ", *limit - 1));
    bool inside = true;
    for (size_t i = dims.size(); i-- > 0;) {
      int64_t position = rest % natural[i];
      rest /= natural[i];
      inside = inside && position < dims[i];
      at += position * strides[i];
    }
    if (inside) y[size_t(at)] = values[k];
  }
  ctx.output(0).assign_f64(y);
  return ok_status();
}

}  // namespace

void register_max_unpool(opdef::OpRegistry& registry) {
  opdef::OpDef def;
  def.name = "MaxUnpool";
  def.doc = "Puts the values of a max pool back where they came from, zeros elsewhere.";
  def.inputs = {operand("X", kFloats, "N C spatial"),
                operand("I", opdef::kInt64, "flat positions, as MaxPool gives them", "T2"),
                optional_operand("output_shape", opdef::kInt64, "dims of the output", "T2")};
  def.outputs = {operand("output", kFloats, "N C spatial")};
  for (opdef::AttrSpec& attr : window_attrs())
    if (attr.name != "auto_pad" && attr.name != "dilations") def.attrs.push_back(std::move(attr));
  def.host_inputs = 1u << 2;
  def.infer = infer_max_unpool;
  def.evaluate = evaluate_max_unpool;
  registry.add(std::move(def));
}

}  // namespace planish::ops
