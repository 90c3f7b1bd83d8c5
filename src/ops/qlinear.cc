// QLinearMatMul and QLinearConv: products of quantized operands, requantized to the output's scale:
// y = saturate(round(sum (a - za)(b - zb) * sa sb / sy) + zy). The sums are exact in double.
#include <cmath>

#include "base/text.h"
#include "ops/convolution.h"
#include "ops/matmul.h"
#include "ops/quantization.h"

namespace planish::ops {
namespace {

constexpr opdef::TypeSet kBytes{DataType::kI8, DataType::kU8};
constexpr opdef::TypeSet kProductTypes = kBytes | opdef::kFloat8;
constexpr opdef::TypeSet kScales{DataType::kF32, DataType::kF16, DataType::kBF16};

// --- QLinearMatMul: a, sa, za, b, sb, zb, sy, zy ---

// A scale and its zero point: one value, one per row (by_row) or column, or one per row or column
// of every matrix.
Status check_vector(const InferContext& ctx, int scale, int operand_input, bool by_row) {
  const Shape &shape = ctx.shape(operand_input), &s = ctx.shape(scale);
  PLANISH_RETURN_IF_ERROR(check_scale_values(ctx, scale, true));
  const Dim zeros = ir::element_count(ctx.shape(scale + 1)), scales = ir::element_count(s);
  PLANISH_RETURN_IF_ERROR(
      check_same_dim(cat("elements of ", input_name(ctx, scale + 1)), zeros, scales));
  if (scales == Dim(1)) return ok_status();
  if (shape.size() < 2) {
    return invalid_argument(cat(input_name(ctx, scale), ": got ", ir::to_string(s),
                                ", expected one element for an operand of rank ", shape.size()));
  }
  const Dim lines = shape[shape.size() - (by_row ? 2 : 1)];
  if (s.size() == 1) {
    return check_same_dim(cat(input_name(ctx, scale), ", dim 0"), s[0], lines);
  }
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, scale, int(shape.size()), int(shape.size())));
  for (size_t d = 0; d < s.size(); ++d) {
    const bool is_line = d == s.size() - (by_row ? 2 : 1);
    const bool is_other = d == s.size() - (by_row ? 1 : 2);
    const Dim expected = is_line ? lines : is_other ? Dim(1) : shape[d];
    PLANISH_RETURN_IF_ERROR(
        check_same_dim(cat(input_name(ctx, scale), ", dim ", d), s[d], expected));
  }
  return ok_status();
}

// (x - zero) * scale for every element of the operand.
std::vector<double> dequantized(const EvalContext& ctx, int operand_input, bool by_row) {
  const Tensor& x = ctx.input(operand_input);
  const std::vector<double> scales = ctx.input(operand_input + 1).f64_values();
  const std::vector<double> zeros = ctx.input(operand_input + 2).f64_values();
  const int rank = x.rank();
  const int64_t columns = rank > 0 ? x.dim(rank - 1) : 1, rows = rank > 1 ? x.dim(rank - 2) : 1;
  const bool per_matrix = ctx.input(operand_input + 1).rank() > 1;
  std::vector<double> out = x.f64_values();
  for (size_t i = 0; i < out.size(); ++i) {
    size_t at = 0;
    if (scales.size() > 1) {
      const int64_t line = by_row ? int64_t(i) / columns % rows : int64_t(i) % columns;
      const int64_t matrix = per_matrix ? int64_t(i) / (rows * columns) : 0;
      at = size_t(matrix * (by_row ? rows : columns) + line);
    }
    out[i] = (out[i] - zeros[at]) * scales[at];
  }
  return out;
}

Status infer_qlinear_matmul(InferContext& ctx) {
  PLANISH_ASSIGN_OR_RETURN(Shape shape, infer_matmul(ctx, 0, 3));
  PLANISH_RETURN_IF_ERROR(check_vector(ctx, 1, 0, true));
  PLANISH_RETURN_IF_ERROR(check_vector(ctx, 4, 3, false));
  PLANISH_RETURN_IF_ERROR(check_single(ctx, 6));
  PLANISH_RETURN_IF_ERROR(check_single(ctx, 7));
  PLANISH_RETURN_IF_ERROR(check_scale_values(ctx, 6, true));
  return set_sized_output(ctx, 0, ctx.dtype(7), std::move(shape));
}

Status evaluate_qlinear_matmul(EvalContext& ctx) {
  const std::vector<double> product =
      multiply_batches<double>(dequantized(ctx, 0, true), ctx.input(0).dims(),
                               dequantized(ctx, 3, false), ctx.input(3).dims());
  Tensor& out = ctx.output(0);
  const double scale = ctx.input(6).f64(0), zero = ctx.input(7).f64(0);
  const bool whole = !ir::is_float(out.dtype());
  for (int64_t i = 0; i < out.count(); ++i) {
    const double quotient = product[size_t(i)] / scale;
    store_quantized(out, i, (whole ? std::nearbyint(quotient) : quotient) + zero);
  }
  return ok_status();
}

int64_t matmul_accumulation(const ir::Node& node) {
  const Shape& a = node.inputs[0]->type.shape;
  return a.empty() ? 1 : a.back().constant().value_or(1);
}

// --- QLinearConv: x, sx, zx, w, sw, zw, sy, zy, bias ---

Status infer_qlinear_conv(InferContext& ctx) {
  PLANISH_ASSIGN_OR_RETURN(ConvInference inference, infer_convolution(ctx, 0, 3));
  const Dim channels = ctx.shape(3)[0];
  for (int i : {1, 2, 6, 7}) PLANISH_RETURN_IF_ERROR(check_single(ctx, i));
  for (int i : {4, 5}) {
    if (ir::element_count(ctx.shape(i)) == Dim(1)) continue;
    PLANISH_RETURN_IF_ERROR(check_rank(ctx, i, 1, 1));
    PLANISH_RETURN_IF_ERROR(
        check_same_dim(cat(input_name(ctx, i), ", dim 0"), ctx.shape(i)[0], channels));
  }
  for (int i : {1, 4, 6}) PLANISH_RETURN_IF_ERROR(check_scale_values(ctx, i, true));
  if (ctx.has_input(8)) {
    PLANISH_RETURN_IF_ERROR(check_rank(ctx, 8, 1, 1));
    PLANISH_RETURN_IF_ERROR(
        check_same_dim(cat(input_name(ctx, 8), ", dim 0"), ctx.shape(8)[0], channels));
  }
  return set_sized_output(ctx, 0, ctx.dtype(7), std::move(inference.output));
}

Status evaluate_qlinear_conv(EvalContext& ctx) {
  const Tensor &x = ctx.input(0), &w = ctx.input(3);
  Tensor& out = ctx.output(0);
  const std::vector<int64_t> dims = ctx.output_dims(0);
  PLANISH_ASSIGN_OR_RETURN(const ConvGeometry geometry, conv_geometry(ctx.attrs(), x, w, dims));
  std::vector<double> inputs = x.f64_values(), weights = w.f64_values();
  const double x_zero = ctx.input(2).f64(0);
  for (double& v : inputs) v -= x_zero;
  const std::vector<double> w_zeros = ctx.input(5).f64_values();
  const std::vector<double> w_scales = ctx.input(4).f64_values();
  const int64_t channels = w.dim(0);
  const int64_t per_channel = channels > 0 ? w.count() / channels : 0;
  for (int64_t i = 0; i < w.count(); ++i) {
    weights[size_t(i)] -= w_zeros[w_zeros.size() == 1 ? 0 : size_t(i / per_channel)];
  }
  const std::vector<double> sums = convolve(inputs, weights, geometry);
  const int64_t plane = product(dims, 2, int(dims.size()));
  const double factor = ctx.input(1).f64(0) / ctx.input(6).f64(0), zero = ctx.input(7).f64(0);
  for (int64_t i = 0; i < out.count(); ++i) {
    const size_t channel = size_t(i / plane % channels);
    const double bias = ctx.has_input(8) ? ctx.input(8).f64(int64_t(channel)) : 0;
    const double scale = w_scales[w_scales.size() == 1 ? 0 : channel];
    store_quantized(out, i, std::nearbyint((sums[size_t(i)] + bias) * scale * factor) + zero);
  }
  return ok_status();
}

int64_t qlinear_conv_accumulation(const ir::Node& node) { return conv_accumulation(node, 3); }

}  // namespace

void register_qlinear(opdef::OpRegistry& registry) {
  opdef::OpDef matmul;
  matmul.name = "QLinearMatMul";
  matmul.doc =
      "Matrix product of quantized operands, quantized again. Scales: one, one per row of a, one "
      "per column of b.";
  matmul.inputs = {operand("a", kProductTypes, "matrices", "T1"),
                   operand("a_scale", kScales, "scale of a", "TS"),
                   operand("a_zero_point", kProductTypes, "as a_scale", "T1"),
                   operand("b", kProductTypes, "matrices", "T2"),
                   operand("b_scale", kScales, "scale of b", "TS"),
                   operand("b_zero_point", kProductTypes, "as b_scale", "T2"),
                   operand("y_scale", kScales, "one element", "TS"),
                   operand("y_zero_point", kProductTypes, "one element", "T3")};
  matmul.outputs = {operand("y", kProductTypes, "product", "T3")};
  matmul.kind = opdef::FusionKind::kContraction;
  matmul.infer = infer_qlinear_matmul;
  matmul.evaluate = evaluate_qlinear_matmul;
  matmul.accumulation = matmul_accumulation;
  matmul.onnx = {{"QLinearMatMul", "", 10}};
  registry.add(std::move(matmul));

  const opdef::TypeSet scale{DataType::kF32};
  opdef::OpDef conv;
  conv.name = "QLinearConv";
  conv.doc =
      "Convolution of quantized operands, quantized again. The weights' scale is one or one per "
      "output channel; the bias has scale x_scale * w_scale.";
  conv.inputs = {operand("x", kBytes, "N C spatial", "T1"),
                 operand("x_scale", scale, "one element", ""),
                 operand("x_zero_point", kBytes, "one element", "T1"),
                 operand("w", kBytes, "M C/group kernel", "T2"),
                 operand("w_scale", scale, "one element or M", ""),
                 operand("w_zero_point", kBytes, "one element or M", "T2"),
                 operand("y_scale", scale, "one element", ""),
                 operand("y_zero_point", kBytes, "one element", "T3"),
                 optional_operand("B", opdef::TypeSet{DataType::kI32}, "M", "")};
  conv.outputs = {operand("y", kBytes, "N M spatial", "T3")};
  conv.attrs = window_attrs();
  conv.attrs.push_back(opdef::int_attr("group", 1, "groups of channels"));
  conv.kind = opdef::FusionKind::kContraction;
  conv.infer = infer_qlinear_conv;
  conv.evaluate = evaluate_qlinear_conv;
  conv.accumulation = qlinear_conv_accumulation;
  conv.onnx = {{"QLinearConv", "", 10}};
  registry.add(std::move(conv));
}

}  // namespace planish::ops
