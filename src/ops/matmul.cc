// Matrix products: MatMul (batched, broadcasting, with 1-D forms), MatMulInteger and Gemm.
#include <algorithm>

#include "base/text.h"
#include "ops/contraction.h"
#include "ops/fused_epilogue.h"
#include "ops/matmul.h"
#include "ops/movement.h"
#include "ops/numeric.h"
#include "ops/resampling.h"
#include "opdef/import.h"

namespace planish::ops {
namespace {

using opdef::EvalContext;
using opdef::ImportContext;
using opdef::kFloats;
using opdef::NodeView;
using opdef::TypeSet;

constexpr TypeSet kProductTypes = kFloats | TypeSet{DataType::kI32, DataType::kI64,
                                                    DataType::kU32, DataType::kU64};

Status infer_matmul_node(InferContext& ctx) {
  PLANISH_ASSIGN_OR_RETURN(Shape shape, infer_matmul(ctx, 0, 1));
  ctx.set_output(0, ctx.dtype(0), std::move(shape));
  return ok_status();
}

// Elements widened: double, or 64-bit integers whose products wrap.
template <class T>
std::vector<T> widened(const Tensor& tensor) {
  if constexpr (std::is_same_v<T, double>) {
    return tensor.f64_values();
  } else {
    std::vector<int64_t> values = tensor.i64_values();
    return std::vector<T>(values.begin(), values.end());
  }
}

void assign_product(Tensor& out, const std::vector<double>& values) { out.assign_f64(values); }
void assign_product(Tensor& out, const std::vector<uint64_t>& values) { assign(out, values); }

template <class T>
void evaluate_product(EvalContext& ctx) {
  const Tensor &a = ctx.input(0), &b = ctx.input(1);
  assign_product(ctx.output(0),
                 multiply_batches<T>(widened<T>(a), a.dims(), widened<T>(b), b.dims()));
}

Status evaluate_matmul(EvalContext& ctx) {
  if (ir::is_float(ctx.input(0).dtype())) evaluate_product<double>(ctx);
  else evaluate_product<uint64_t>(ctx);
  return ok_status();
}

int64_t matmul_accumulation(const ir::Node& node) {
  const Shape& a = node.inputs[0]->type.shape;
  return a.empty() ? 1 : std::max<int64_t>(a.back().constant().value_or(1), 1);
}

// A zero point is one value, or one per row of A (column of B).
Status check_zero_point(InferContext& ctx, int input, const Shape& operand, bool by_row) {
  if (!ctx.has_input(input)) return ok_status();
  const Shape& zero = ctx.shape(input);
  Dim lines = operand.size() < 2 ? Dim(1) : operand[operand.size() - (by_row ? 2 : 1)];
  if (zero.empty() || (zero.size() == 1 && zero[0] == Dim(1))) return ok_status();
  if (zero.size() == 1)
    return check_same_dim(input_name(ctx, input) + ": length", zero[0], lines);
  // Per matrix of a batch: the operand's shape with 1 where it is summed.
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, input, int(operand.size()), int(operand.size())));
  PLANISH_ASSIGN_OR_RETURN(Shape both, broadcast(operand, zero));
  for (size_t i = 0; i < both.size(); ++i)
    PLANISH_RETURN_IF_ERROR(
        check_same_dim(cat(input_name(ctx, input), ": dim ", i), both[i], operand[i]));
  return ok_status();
}

Status infer_matmul_integer(InferContext& ctx) {
  PLANISH_ASSIGN_OR_RETURN(Shape shape, infer_matmul(ctx, 0, 1));
  PLANISH_RETURN_IF_ERROR(check_zero_point(ctx, 2, ctx.shape(0), true));
  PLANISH_RETURN_IF_ERROR(check_zero_point(ctx, 3, ctx.shape(1), false));
  ctx.set_output(0, DataType::kI32, std::move(shape));
  return ok_status();
}

Status evaluate_matmul_integer(EvalContext& ctx) {
  const Tensor &a = ctx.input(0), &b = ctx.input(1);
  std::vector<double> as = less_zero_point(a, ctx.has_input(2) ? &ctx.input(2) : nullptr, true);
  std::vector<double> bs = less_zero_point(b, ctx.has_input(3) ? &ctx.input(3) : nullptr, false);
  ctx.output(0).assign_f64(multiply_batches<double>(as, a.dims(), bs, b.dims()));
  return ok_status();
}

Status infer_gemm(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 0, 2, 2));
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 1, 2, 2));
  bool trans_a = ctx.attr_int("transA") != 0, trans_b = ctx.attr_int("transB") != 0;
  const Shape &a = ctx.shape(0), &b = ctx.shape(1);
  PLANISH_RETURN_IF_ERROR(check_same_dim("input 1 (B): inner dim", b[trans_b], a[!trans_a]));
  Shape out = {a[trans_a], b[!trans_b]};
  if (ctx.has_input(2)) {
    PLANISH_RETURN_IF_ERROR(check_rank(ctx, 2, 0, 2));
    PLANISH_ASSIGN_OR_RETURN(Shape both, broadcast(out, ctx.shape(2)));
    for (size_t i = 0; i < 2; ++i)
      PLANISH_RETURN_IF_ERROR(
          check_same_dim(cat("input 2 (C): broadcast dim ", i), both[i], out[i]));
  }
  ctx.set_output(0, ctx.dtype(0), std::move(out));
  return ok_status();
}

// alpha A B + beta C. Integers compute the product exactly, then scale it in double.
Status evaluate_gemm(EvalContext& ctx) {
  bool trans_a = ctx.attr_int("transA") != 0, trans_b = ctx.attr_int("transB") != 0;
  double alpha = ctx.attr_float("alpha"), beta = ctx.attr_float("beta");
  std::vector<int64_t> dims = ctx.output_dims(0);
  int64_t m = dims[0], n = dims[1], k = ctx.input(0).dim(trans_a ? 0 : 1);
  std::vector<double> a = ctx.input(0).f64_values(), b = ctx.input(1).f64_values(), panels;
  if (trans_a) {
    std::vector<double> rows(a.size());
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < k; ++j) rows[size_t(i * k + j)] = a[size_t(j * m + i)];
    a = std::move(rows);
  }
  pack_panels(b.data(), k, n, trans_b ? 1 : n, trans_b ? k : 1, panels);
  std::vector<double> y(size_t(m * n));
  multiply_panels(a.data(), k, panels.data(), m, n, k, y.data(), n);
  std::vector<double> c;
  int64_t row_step = 0, column_step = 0;
  if (ctx.has_input(2)) {
    const Tensor& bias = ctx.input(2);
    c = bias.f64_values();
    int64_t columns = bias.rank() == 0 ? 1 : bias.dim(bias.rank() - 1);
    column_step = columns == 1 ? 0 : 1;
    row_step = bias.rank() == 2 && bias.dim(0) != 1 ? columns : 0;
  }
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      double value = alpha * y[size_t(i * n + j)];
      if (!c.empty()) value += beta * c[size_t(i * row_step + j * column_step)];
      y[size_t(i * n + j)] = value;
    }
  ctx.output(0).assign_f64(y);
  return ok_status();
}

int64_t gemm_accumulation(const ir::Node& node) {
  const Shape& a = node.inputs[0]->type.shape;
  return std::max<int64_t>(a[node.attr_int("transA") != 0 ? 0 : 1].constant().value_or(1), 1);
}

ir::Value* transposed(Composer& c, ir::Value* x) {
  std::vector<int64_t> perm;
  for (int i = 0; i < c.rank(x); ++i) perm.push_back(i);
  if (perm.size() >= 2) std::swap(perm[perm.size() - 1], perm[perm.size() - 2]);
  return c.transpose(x, perm);
}
Status import_tensorflow_matmul(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value *a = c.in(0), *b = c.in(1);
  if (c.attr_int("transpose_a", 0) || c.attr_int("adj_x", 0)) a = transposed(c, a);
  if (c.attr_int("transpose_b", 0) || c.attr_int("adj_y", 0)) b = transposed(c, b);
  ir::Value* y = c.op("MatMul", {a, b});
  return c.finish({node.op_type() == "_FusedMatMul" ? apply_fused_ops(c, y, 2, true) : y});
}

}  // namespace

Result<Shape> infer_matmul(const InferContext& ctx, int a_input, int b_input) {
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, a_input, 1));
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, b_input, 1));
  Shape a = ctx.shape(a_input), b = ctx.shape(b_input);
  bool vector_a = a.size() == 1, vector_b = b.size() == 1;
  if (vector_a) a.insert(a.begin(), Dim(1));
  if (vector_b) b.push_back(Dim(1));
  PLANISH_RETURN_IF_ERROR(check_same_dim(input_name(ctx, b_input) + ": inner dim",
                                         b[b.size() - 2], a[a.size() - 1]));
  PLANISH_ASSIGN_OR_RETURN(Shape out, broadcast(Shape(a.begin(), a.end() - 2),
                                                Shape(b.begin(), b.end() - 2)));
  if (!vector_a) out.push_back(a[a.size() - 2]);
  if (!vector_b) out.push_back(b[b.size() - 1]);
  return out;
}

template <class T>
std::vector<T> multiply_batches(const std::vector<T>& a, std::vector<int64_t> a_dims,
                                const std::vector<T>& b, std::vector<int64_t> b_dims) {
  if (a_dims.size() == 1) a_dims.insert(a_dims.begin(), 1);
  if (b_dims.size() == 1) b_dims.push_back(1);
  int64_t m = a_dims[a_dims.size() - 2], k = a_dims.back(), n = b_dims.back();
  a_dims.resize(a_dims.size() - 2);
  b_dims.resize(b_dims.size() - 2);
  size_t rank = std::max(a_dims.size(), b_dims.size());
  a_dims.insert(a_dims.begin(), rank - a_dims.size(), 1);
  b_dims.insert(b_dims.begin(), rank - b_dims.size(), 1);
  std::vector<int64_t> batch(rank), a_steps = ir::strides_of(a_dims),
                                    b_steps = ir::strides_of(b_dims);
  for (size_t i = 0; i < rank; ++i) {
    batch[i] = a_dims[i] == 1 ? b_dims[i] : a_dims[i];
    if (a_dims[i] == 1) a_steps[i] = 0;
    if (b_dims[i] == 1) b_steps[i] = 0;
  }
  std::vector<T> out(size_t(ir::element_count(batch) * m * n)), panels;
  int64_t packed = -1, at = 0;
  for_each_index(batch, [&](std::span<const int64_t> index) {
    int64_t from_a = 0, from_b = 0;
    for (size_t i = 0; i < rank; ++i) {
      from_a += index[i] * a_steps[i];
      from_b += index[i] * b_steps[i];
    }
    if (from_b != packed) pack_panels(b.data() + from_b * k * n, k, n, n, int64_t(1), panels);
    packed = from_b;
    multiply_panels(a.data() + from_a * m * k, k, panels.data(), m, n, k, out.data() + at, n);
    at += m * n;
  });
  return out;
}
template std::vector<double> multiply_batches(const std::vector<double>&, std::vector<int64_t>,
                                              const std::vector<double>&, std::vector<int64_t>);
template std::vector<uint64_t> multiply_batches(const std::vector<uint64_t>&, std::vector<int64_t>,
                                                const std::vector<uint64_t>&,
                                                std::vector<int64_t>);

std::vector<double> less_zero_point(const Tensor& x, const Tensor* zero_point, bool by_row) {
  std::vector<double> values = x.f64_values();
  if (!zero_point || values.empty()) return values;
  std::vector<double> zeros = zero_point->f64_values();
  int64_t columns = x.dim(x.rank() - 1), rows = x.rank() < 2 ? 1 : x.dim(x.rank() - 2);
  for (size_t i = 0; i < values.size(); ++i) {
    int64_t column = int64_t(i) % columns, row = int64_t(i) / columns % rows;
    int64_t matrix = int64_t(i) / columns / rows, lines = by_row ? rows : columns;
    int64_t at = by_row ? row : column;
    if (int64_t(zeros.size()) > lines) at += matrix * lines;
    values[i] -= zeros[zeros.size() == 1 ? 0 : size_t(at) % zeros.size()];
  }
  return values;
}

void register_matmul(opdef::OpRegistry& registry) {
  opdef::OpDef def;
  def.name = "MatMul";
  def.doc =
      "Matrix product. Leading dims are a batch and broadcast; a 1-D operand is a row (left) or a "
      "column (right) whose own dim disappears from the result.";
  def.inputs = {operand("A", kProductTypes, "... m k"), operand("B", kProductTypes, "... k n")};
  def.outputs = {operand("Y", kProductTypes, "... m n")};
  def.kind = opdef::FusionKind::kContraction;
  def.infer = infer_matmul_node;
  def.evaluate = evaluate_matmul;
  def.accumulation = matmul_accumulation;
  for (const char* tf : {"BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "MatMul", "SparseMatMul",
                         "_FusedMatMul"})
    def.tensorflow.push_back(tensorflow(tf, import_tensorflow_matmul));
  for (opdef::ImportRule& rule : resampling_rules()) def.tensorflow.push_back(std::move(rule));
  registry.add(std::move(def));

  TypeSet bytes{DataType::kI8, DataType::kU8};
  def = {};
  def.name = "MatMulInteger";
  def.doc = "Matrix product of 8-bit integers, less their zero points, summed in 32 bits.";
  def.inputs = {operand("A", bytes, "... m k", "T1"), operand("B", bytes, "... k n", "T2"),
                optional_operand("a_zero_point", bytes, "scalar, or one per row", "T1"),
                optional_operand("b_zero_point", bytes, "scalar, or one per column", "T2")};
  def.outputs = {operand("Y", TypeSet{DataType::kI32}, "... m n", "T3")};
  def.kind = opdef::FusionKind::kContraction;
  def.infer = infer_matmul_integer;
  def.evaluate = evaluate_matmul_integer;
  def.accumulation = matmul_accumulation;
  registry.add(std::move(def));

  def = {};
  def.name = "Gemm";
  def.doc = "alpha A B + beta C for matrices, either of which may be given transposed.";
  def.inputs = {operand("A", kProductTypes, "m k, or k m with transA"),
                operand("B", kProductTypes, "k n, or n k with transB"),
                optional_operand("C", kProductTypes, "broadcasts to m n")};
  def.outputs = {operand("Y", kProductTypes, "m n")};
  def.attrs = {opdef::float_attr("alpha", 1, "factor of the product"),
               opdef::float_attr("beta", 1, "factor of C"),
               opdef::int_attr("transA", 0, "1: A is transposed"),
               opdef::int_attr("transB", 0, "1: B is transposed")};
  def.kind = opdef::FusionKind::kContraction;
  def.infer = infer_gemm;
  def.evaluate = evaluate_gemm;
  def.accumulation = gemm_accumulation;
  registry.add(std::move(def));
}

}  // namespace planish::ops
