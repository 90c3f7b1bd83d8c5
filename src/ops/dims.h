// Rules about dims and axes that many operators share: size limits, broadcasting of one dim,
// lists of axes, dims that only the data decide.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "opdef/op_def.h"

namespace planish::ops {

using ir::DataType;
using ir::Dim;
using ir::Shape;
using ir::Tensor;
using ir::TensorType;
using opdef::EvalContext;
using opdef::InferContext;

// Refuses invalid or negative dims, and constant shapes over Limits::max_tensor_elements.
// `what` begins the message: "output".
Status check_size(const Shape& shape, std::string_view what);
Status check_size(std::span<const int64_t> dims, std::string_view what);
// check_size, then ctx.set_output.
Status set_sized_output(InferContext& ctx, int i, DataType dtype, Shape shape);

// The dim that a and b broadcast to; an error when both are constant, unequal and none is 1.
Result<Dim> broadcast_dim(const Dim& a, const Dim& b);
Result<Shape> broadcast_shapes(const Shape& a, const Shape& b);

// A fresh symbol for a dim that only the data decide, at most `upper` where that is known.
Dim data_dim(InferContext& ctx, std::string_view hint, std::optional<Dim> upper = std::nullopt);
// True when dim >= bound for every binding of its symbols that is known to be possible.
bool at_least(const InferContext& ctx, const Dim& dim, int64_t bound);

// -rank..rank-1 to 0..rank-1; the error says which axis and names `what` ("attribute 'axis'").
Result<int> normalize_axis(int64_t axis, int rank, std::string_view what);
// The same for a list, in the given order; repeated axes are an error.
Result<std::vector<int>> normalize_axes(std::span<const int64_t> axes, int rank,
                                        std::string_view what);
// For evaluate(), where infer() has checked the axis already.
inline int wrap_axis(int64_t axis, int rank) { return int(axis < 0 ? axis + rank : axis); }

// -size..size-1 to 0..size-1; nullopt when outside.
inline std::optional<int64_t> wrap_index(int64_t index, int64_t size) {
  if (index < -size || index >= size) return std::nullopt;
  return index < 0 ? index + size : index;
}

// An error when input i has not exactly `rank` dims.
Status check_rank(const InferContext& ctx, int i, int rank);
// An error when input i is known to hold other than one element (rank 0, or [1] and the like).
Status check_single(const InferContext& ctx, int i);
// An error when two dims can never be equal.
Status check_equal(const Dim& got, const Dim& expected, std::string_view what);
// "input 1 ('shape')".
std::string input_text(const InferContext& ctx, int i);

}  // namespace planish::ops
