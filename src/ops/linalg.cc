// MatrixSolve, TriangularSolve and Cholesky: small systems of linear equations (homographies, whitening,
// Gaussian processes), over the matrices in the last two dims.
#include <cmath>

#include "base/text.h"
#include "ops/composer.h"
#include "ops/dims.h"

namespace planish::ops {
namespace {

using Matrix = std::vector<double>;  // row-major

Status check_square(InferContext& ctx, const Shape& shape) {
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 0, 2));
  return check_same_dim(cat(input_name(ctx, 0), ", last dim"), shape[shape.size() - 1],
                        shape[shape.size() - 2]);
}

Status infer_solve(InferContext& ctx) {
  const Shape &a = ctx.shape(0), &b = ctx.shape(1);
  PLANISH_RETURN_IF_ERROR(check_square(ctx, a));
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 1, int(a.size()), int(a.size())));
  for (size_t i = 0; i + 1 < a.size(); ++i)
    PLANISH_RETURN_IF_ERROR(check_same_dim(cat(input_name(ctx, 1), ": dim ", i), b[i], a[i]));
  ctx.set_output(0, ctx.dtype(1), b);
  return ok_status();
}

Status infer_square(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_square(ctx, ctx.shape(0)));
  ctx.set_output(0, ctx.dtype(0), ctx.shape(0));
  return ok_status();
}

// Rows of a and b below `column` freed of it; the largest element of the column moves up. False when
// the matrix is singular.
bool eliminate(Matrix& a, Matrix& b, size_t n, size_t width, size_t column) {
  size_t pivot = column;
  for (size_t row = column + 1; row < n; ++row)
    if (std::fabs(a[row * n + column]) > std::fabs(a[pivot * n + column])) pivot = row;
  if (a[pivot * n + column] == 0) return false;
  for (size_t k = 0; k < n; ++k) std::swap(a[pivot * n + k], a[column * n + k]);
  for (size_t k = 0; k < width; ++k) std::swap(b[pivot * width + k], b[column * width + k]);
  for (size_t row = column + 1; row < n; ++row) {
    const double factor = a[row * n + column] / a[column * n + column];
    for (size_t k = column; k < n; ++k) a[row * n + k] -= factor * a[column * n + k];
    for (size_t k = 0; k < width; ++k) b[row * width + k] -= factor * b[column * width + k];
  }
  return true;
}

// b becomes the solution for a triangular a.
void substitute(const Matrix& a, Matrix& b, size_t n, size_t width, bool is_lower) {
  for (size_t i = 0; i < n; ++i) {
    const size_t row = is_lower ? i : n - 1 - i;
    const size_t from = is_lower ? 0 : row + 1, to = is_lower ? row : n;
    for (size_t k = 0; k < width; ++k) {
      for (size_t j = from; j < to; ++j) b[row * width + k] -= a[row * n + j] * b[j * width + k];
      b[row * width + k] /= a[row * n + row];
    }
  }
}

// Calls solve(a, b, n, width) on every pair of matrices.
template <class Solve>
Status each_system(EvalContext& ctx, const Solve& solve) {
  const Tensor &left = ctx.input(0), &right = ctx.input(1);
  const std::vector<double> a = left.f64_values();
  std::vector<double> b = right.f64_values();
  const size_t n = size_t(left.dim(left.rank() - 1)), width = size_t(right.dim(right.rank() - 1));
  const size_t count = n == 0 ? 0 : a.size() / (n * n);
  for (size_t i = 0; i < count; ++i) {
    Matrix one(a.begin() + std::ptrdiff_t(i * n * n), a.begin() + std::ptrdiff_t((i + 1) * n * n));
    Matrix other(b.begin() + std::ptrdiff_t(i * n * width), b.begin() + std::ptrdiff_t((i + 1) * n * width));
    if (!solve(one, other, n, width)) return invalid_argument(cat("matrix ", i, " is singular"));
    std::copy(other.begin(), other.end(), b.begin() + std::ptrdiff_t(i * n * width));
  }
  ctx.output(0).assign_f64(b);
  return ok_status();
}

Status evaluate_solve(EvalContext& ctx) {
  return each_system(ctx, [](Matrix& a, Matrix& b, size_t n, size_t width) {
    for (size_t column = 0; column < n; ++column)
      if (!eliminate(a, b, n, width, column)) return false;
    substitute(a, b, n, width, false);
    return true;
  });
}

Status evaluate_triangular(EvalContext& ctx) {
  const bool is_lower = ctx.attr_int("lower") != 0;
  return each_system(ctx, [&](Matrix& a, Matrix& b, size_t n, size_t width) {
    for (size_t i = 0; i < n; ++i)
      if (a[i * n + i] == 0) return false;
    substitute(a, b, n, width, is_lower);
    return true;
  });
}

Status evaluate_cholesky(EvalContext& ctx) {
  const Tensor& in = ctx.input(0);
  std::vector<double> all = in.f64_values();
  const size_t n = size_t(in.dim(in.rank() - 1)), count = n == 0 ? 0 : all.size() / (n * n);
  for (size_t i = 0; i < count; ++i) {
    double* a = all.data() + i * n * n;
    for (size_t row = 0; row < n; ++row) {
      for (size_t column = 0; column <= row; ++column) {
        double sum = a[row * n + column];
        for (size_t k = 0; k < column; ++k) sum -= a[row * n + k] * a[column * n + k];
        if (row == column && !(sum > 0))
          return invalid_argument(cat("matrix ", i, " is not positive definite"));
        a[row * n + column] = row == column ? std::sqrt(sum) : sum / a[column * n + column];
      }
      for (size_t column = row + 1; column < n; ++column) a[row * n + column] = 0;
    }
  }
  ctx.output(0).assign_f64(all);
  return ok_status();
}

std::vector<int64_t> last_two_swapped(int rank) {
  std::vector<int64_t> out;
  for (int i = 0; i < rank; ++i) out.push_back(i);
  std::swap(out[size_t(rank - 1)], out[size_t(rank - 2)]);
  return out;
}

Status import_system(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value* a = c.in(0);
  if (!c.has_rank(a, 2, 8, "input 0")) return c.finish({});
  const bool is_turned = c.attr_int("adjoint", 0) != 0;
  if (is_turned) a = c.transpose(a, last_two_swapped(c.rank(a)));
  if (node.op_type() == "MatrixTriangularSolve") {
    const bool is_lower = (c.attr_int("lower", 1) != 0) != is_turned;
    return c.finish({c.op("TriangularSolve", {a, c.in(1)}, {{"lower", int64_t(is_lower)}})});
  }
  if (node.op_type() == "MatrixSolve") return c.finish({c.op("MatrixSolve", {a, c.in(1)})});
  const int64_t n = c.need_dim(a, -1, "the matrix");
  Tensor one(c.dtype(a), {n, n});
  for (int64_t i = 0; i < n && c.ok(); ++i) one.set_f64(i * n + i, 1);
  ir::Value* unit = c.constant(std::move(one));
  if (c.rank(a) > 2) unit = c.op("Expand", {unit, c.op("Shape", {a})});
  return c.finish({c.op("MatrixSolve", {a, unit})});
}

opdef::OpDef system_def(std::string name, std::string doc) {
  opdef::OpDef def;
  def.name = std::move(name);
  def.doc = std::move(doc);
  def.inputs = {operand("A", opdef::kFloats, "[..., n, n]"), operand("B", opdef::kFloats, "[..., n, k]")};
  def.outputs = {operand("X", opdef::kFloats, "[..., n, k]")};
  def.infer = infer_solve;
  return def;
}

}  // namespace

void register_linalg(opdef::OpRegistry& registry) {
  opdef::OpDef def = system_def("MatrixSolve", "X with A X = B for square matrices A; a singular one is an error.");
  def.evaluate = evaluate_solve;
  def.tensorflow = {tensorflow("MatrixSolve", import_system), tensorflow("MatrixInverse", import_system)};
  registry.add(std::move(def));

  def = system_def("TriangularSolve", "X with A X = B, where only the lower or upper triangle of A counts.");
  def.attrs = {opdef::int_attr("lower", 1, "0: the upper triangle counts")};
  def.evaluate = evaluate_triangular;
  def.tensorflow = {tensorflow("MatrixTriangularSolve", import_system)};
  registry.add(std::move(def));

  def = opdef::OpDef();
  def.name = "Cholesky";
  def.doc = "The lower triangular L with L L^T = A, for symmetric positive definite A.";
  def.inputs = {operand("A", opdef::kFloats, "[..., n, n]; its lower triangle is read")};
  def.outputs = {operand("L", opdef::kFloats, "[..., n, n]")};
  def.infer = infer_square;
  def.evaluate = evaluate_cholesky;
  def.tensorflow = {tensorflow("Cholesky")};
  registry.add(std::move(def));
}

}  // namespace planish::ops
