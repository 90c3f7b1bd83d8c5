#include "ops/dims.h"

#include "base/limits.h"
#include "base/text.h"

namespace planish::ops {

namespace {

Status too_large(std::string_view what, const std::string& shape) {
  return resource_exhausted(cat(what, ": shape ", shape, " has more elements than the limit ",
                                "max_tensor_elements = ", kDefaultLimits.max_tensor_elements));
}

}  // namespace

Status check_size(std::span<const int64_t> dims, std::string_view what) {
  bool empty = false;
  for (int64_t d : dims) {
    if (d < 0) return invalid_argument(cat(what, ": negative dim in shape ", bracketed(dims)));
    empty |= d == 0;
  }
  if (empty) return ok_status();
  const std::optional<int64_t> count = ir::checked_element_count(dims);
  if (!count || *count > kDefaultLimits.max_tensor_elements) {
    return too_large(what, bracketed(dims));
  }
  return ok_status();
}

Status check_size(const Shape& shape, std::string_view what) {
  std::vector<int64_t> known;
  bool empty = false;
  for (const Dim& d : shape) {
    if (!d.valid()) {
      return resource_exhausted(cat(what, ": a dim leaves the range of 64-bit integers"));
    }
    if (!d.is_constant()) continue;
    if (d.value() < 0) {
      return invalid_argument(cat(what, ": negative dim in shape ", ir::to_string(shape)));
    }
    empty |= d.value() == 0;
    known.push_back(d.value());
  }
  if (empty) return ok_status();
  // Symbols may be 1, so the constant part alone must fit.
  const std::optional<int64_t> count = ir::checked_element_count(known);
  if (!count || *count > kDefaultLimits.max_tensor_elements) {
    return too_large(what, ir::to_string(shape));
  }
  return ok_status();
}

Status set_sized_output(InferContext& ctx, int i, DataType dtype, Shape shape) {
  PLANISH_RETURN_IF_ERROR(check_size(shape, cat("output ", i)));
  ctx.set_output(i, dtype, std::move(shape));
  return ok_status();
}

Dim data_dim(InferContext& ctx, std::string_view hint, std::optional<Dim> upper) {
  ir::SymbolInfo info;
  info.low = 0;
  info.from_data = true;
  if (upper && upper->valid()) {
    info.high = upper->constant();
    info.upper_bound = std::move(upper);
  }
  return ctx.new_symbol(hint, std::move(info));
}

Shape data_shape(InferContext& ctx, std::string_view hint, int64_t rank, std::optional<Dim> upper) {
  Shape shape;
  for (int64_t i = 0; i < rank; ++i) shape.push_back(data_dim(ctx, hint, upper));
  return shape;
}

bool at_least(const InferContext& ctx, const Dim& dim, int64_t bound) {
  if (dim.is_constant()) return dim.value() >= bound;
  if (!dim.valid()) return false;
  const Dim::Range range = ctx.range(dim);
  return range.low && *range.low >= bound;
}

Result<std::vector<int>> ordered_axes(std::string_view what, std::span<const int64_t> axes,
                                      int rank) {
  PLANISH_RETURN_IF_ERROR(normalize_axes(what, axes, rank).status());
  std::vector<int> out;
  for (int64_t axis : axes) out.push_back(wrap_axis(axis, rank));
  return out;
}

Status check_single(const InferContext& ctx, int input) {
  const Dim count = ir::element_count(ctx.shape(input));
  if (!count.is_constant() || count.value() == 1) return ok_status();
  return invalid_argument(cat(input_name(ctx, input), ": got shape ",
                              ir::to_string(ctx.shape(input)), ", expected one element"));
}

Result<int64_t> list_length(const InferContext& ctx, int input) {
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, input, 1, 1));
  const Dim& length = ctx.shape(input)[0];
  // One number for each axis or part: what is beyond this must not even be counted up.
  constexpr int64_t kMost = 4096;
  if (length.is_constant() && length.value() > kMost)
    return resource_exhausted(cat(input_name(ctx, input), ": got ", length.value(),
                                  " elements, expected at most ", kMost));
  if (length.is_constant()) return length.value();
  return unsupported(cat(input_name(ctx, input), ": its length ", length.to_string(),
                         " is not known at build time, so the rank of the output is not"));
}

}  // namespace planish::ops
