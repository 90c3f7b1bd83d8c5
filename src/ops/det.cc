// Det: determinants of square matrices, by elimination with the largest pivot of each column.
#include <cmath>

#include "base/text.h"
#include "ops/composer.h"
#include "ops/dims.h"

namespace planish::ops {
namespace {

Status infer(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 0, 2));
  const Shape& in = ctx.shape(0);
  PLANISH_RETURN_IF_ERROR(
      check_same_dim("input 0 (X), last dim", in[in.size() - 1], in[in.size() - 2]));
  ctx.set_output(0, ctx.dtype(0), Shape(in.begin(), in.end() - 2));
  return ok_status();
}

double determinant(std::vector<double> m, size_t n) {
  double result = 1;
  for (size_t column = 0; column < n; ++column) {
    size_t pivot = column;
    for (size_t row = column + 1; row < n; ++row) {
      if (std::fabs(m[row * n + column]) > std::fabs(m[pivot * n + column])) pivot = row;
    }
    const double value = m[pivot * n + column];
    if (value == 0) return 0;
    if (pivot != column) {
      for (size_t k = 0; k < n; ++k) std::swap(m[pivot * n + k], m[column * n + k]);
      result = -result;
    }
    result *= value;
    for (size_t row = column + 1; row < n; ++row) {
      const double factor = m[row * n + column] / value;
      for (size_t k = column; k < n; ++k) m[row * n + k] -= factor * m[column * n + k];
    }
  }
  return result;
}

Status evaluate(EvalContext& ctx) {
  const Tensor& in = ctx.input(0);
  Tensor& out = ctx.output(0);
  const std::vector<double> all = in.f64_values();
  const int64_t n = in.dim(in.rank() - 1);
  for (int64_t i = 0; i < out.count(); ++i) {
    const auto first = all.begin() + i * n * n;
    out.set_f64(i, determinant({first, first + n * n}, size_t(n)));
  }
  return ok_status();
}

}  // namespace

void register_det(opdef::OpRegistry& registry) {
  opdef::OpDef def;
  def.name = "Det";
  def.doc = "Determinant of the matrices in the last two dims; 1 for an empty matrix.";
  def.inputs = {operand("X", opdef::kFloats, "[..., n, n]")};
  def.outputs = {operand("Y", opdef::kFloats, "[...]")};
  def.infer = infer;
  def.evaluate = evaluate;
  def.tensorflow = {tensorflow("MatrixDeterminant")};
  registry.add(std::move(def));
}

}  // namespace planish::ops
