// Shape rules that many operators share: NumPy's broadcasting over symbolic dims, rank and axis
// checks. Every error names the operand or attribute, what was got and what was expected.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "opdef/op_def.h"

namespace planish::ops {

using ir::Dim;
using ir::DataType;
using ir::Shape;
using ir::Tensor;
using ir::TensorType;
using opdef::InferContext;

// Dims align from the right; 1 stretches. A symbol against another symbol gives their max (they are
// equal, or one of them is 1); a symbol against a constant other than 1 gives the constant.
Result<Shape> broadcast(const Shape& a, const Shape& b);
// Over the shapes of every present input.
Result<Shape> broadcast_inputs(const InferContext& ctx);

// "input 0 (X): got rank 2, expected at least 3" unless low <= rank <= high.
Status check_rank(const InferContext& ctx, int input, int low, int high = 64);
// Fails when both are constants and differ.
Status check_same_dim(std::string_view what, const Dim& got, const Dim& expected);
// Name of an input as the schema has it: "input 0 (X)".
std::string input_name(const InferContext& ctx, int input);

// Maps -rank..rank-1 to 0..rank-1; an error names `what` otherwise.
Result<int> normalize_axis(std::string_view what, int64_t axis, int rank);
// The same for a list, duplicates refused; sorted.
Result<std::vector<int>> normalize_axes(std::string_view what, std::span<const int64_t> axes,
                                        int rank);

// "attribute 'strides': got [0, 1], expected positive values"
Status bad_attr(std::string_view key, std::string got, std::string expected);
// The attribute's ints when present and non-empty.
std::optional<std::vector<int64_t>> ints_of(const ir::Attributes& attrs, std::string_view key);

// Product of dims[first, last).
int64_t product(std::span<const int64_t> dims, int first, int last);
Dim product(const Shape& shape, int first, int last);

// Short forms for schemas.
opdef::ValueSpec operand(std::string name, opdef::TypeSet types, std::string doc,
                         std::string type_var = "T");
opdef::ValueSpec optional_operand(std::string name, opdef::TypeSet types, std::string doc,
                                  std::string type_var = "T");
opdef::ValueSpec variadic_operand(std::string name, opdef::TypeSet types, std::string doc,
                                  std::string type_var = "T");

}  // namespace planish::ops
