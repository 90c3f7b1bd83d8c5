// Rules about dims that the movement operators share, beyond shape_rules.h: size limits, dims that
// only the data decide, and what is certain about a symbolic dim.
#pragma once
#include "ops/shape_rules.h"

namespace planish::ops {

using opdef::EvalContext;

// Refuses invalid or negative dims, and shapes whose constant part alone exceeds
// Limits::max_tensor_elements. `what` begins the message: "output 0".
Status check_size(const Shape& shape, std::string_view what);
Status check_size(std::span<const int64_t> dims, std::string_view what);
// check_size, then ctx.set_output.
Status set_sized_output(InferContext& ctx, int i, DataType dtype, Shape shape);

// A fresh symbol for a dim that only the data decide, at most `upper` where that is known.
Dim data_dim(InferContext& ctx, std::string_view hint, std::optional<Dim> upper = std::nullopt);
// `rank` such dims, for outputs whose axes are not known either.
Shape data_shape(InferContext& ctx, std::string_view hint, int64_t rank,
                 std::optional<Dim> upper = std::nullopt);
// True when dim >= bound for every binding of its symbols within their known bounds.
bool at_least(const InferContext& ctx, const Dim& dim, int64_t bound);

// normalize_axes() in the given order.
Result<std::vector<int>> ordered_axes(std::string_view what, std::span<const int64_t> axes,
                                      int rank);
// For evaluate(), where infer() has checked the axis already.
inline int wrap_axis(int64_t axis, int rank) { return int(axis < 0 ? axis + rank : axis); }

// -size..size-1 to 0..size-1; nullopt when outside.
inline std::optional<int64_t> wrap_index(int64_t index, int64_t size) {
  if (index < -size || index >= size) return std::nullopt;
  return index < 0 ? index + size : index;
}

// An error when the input is known to hold other than one element (rank 0, or [1] and the like).
Status check_single(const InferContext& ctx, int input);
// The one constant dim of a rank-1 input (the rank of the output that it describes).
Result<int64_t> list_length(const InferContext& ctx, int input);

}  // namespace planish::ops
