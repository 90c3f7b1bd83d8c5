// QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear: between real numbers and narrow types
// by scale and zero point, per tensor, per channel or per block. All of INT8, INT4 and FP8 in a
// graph is said with the first two.
#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "ops/composer.h"
#include "ops/fake_quantization.h"
#include "ops/quantization.h"
#include "opdef/import.h"
#include "opdef/onnx_types.h"

namespace planish::ops {
namespace {

using opdef::AttrKind;

constexpr opdef::TypeSet kRealTypes{DataType::kF32, DataType::kF16, DataType::kBF16};
constexpr opdef::TypeSet kScaleTypes =
    kRealTypes | opdef::TypeSet{DataType::kI32, DataType::kF8E8M0};

std::optional<DataType> type_attr(const ir::Attributes& attrs, std::string_view key) {
  auto found = attrs.find(key);
  if (found == attrs.end()) return std::nullopt;
  return std::get<DataType>(found->second);
}

// Zero points as numbers, one per scale; zeros when absent.
std::vector<double> zero_points(const EvalContext& ctx, int input, int64_t count) {
  if (ctx.has_input(input)) return ctx.input(input).f64_values();
  return std::vector<double>(size_t(count), 0);
}

// --- QuantizeLinear ---

Status infer_quantize(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_scale_shape(ctx, 1));
  PLANISH_RETURN_IF_ERROR(check_scale_values(ctx, 1, true));
  const std::optional<DataType> wanted = type_attr(ctx.attrs(), "output_dtype");
  DataType dtype = wanted.value_or(DataType::kU8);
  if (ctx.has_input(2)) {
    if (wanted && *wanted != ctx.dtype(2)) {
      return bad_attr("output_dtype", std::string(ir::name_of(*wanted)),
                      cat(ir::name_of(ctx.dtype(2)), ", the type of the zero point"));
    }
    dtype = ctx.dtype(2);
  }
  if (!kQuantizedTypes.contains(dtype)) {
    return bad_attr("output_dtype", std::string(ir::name_of(dtype)),
                    kQuantizedTypes.to_string());
  }
  ctx.set_output(0, dtype, ctx.shape(0));
  return ok_status();
}

Status evaluate_quantize(EvalContext& ctx) {
  const Tensor &x = ctx.input(0), &scale = ctx.input(1);
  Tensor& out = ctx.output(0);
  const ScaleMap map = scale_map(ctx, 1);
  const std::vector<double> scales = scale.f64_values();
  const std::vector<double> zeros = zero_points(ctx, 2, scale.count());
  const bool saturate = ctx.attr_int("saturate") != 0;
  // The quotient is rounded to this type before it is rounded to an integer.
  DataType precision = type_attr(ctx.attrs(), "precision").value_or(scale.dtype());
  if (!ir::is_float(precision) || precision == DataType::kF8E8M0) precision = DataType::kF32;
  const bool whole = !ir::is_float(out.dtype());
  for (int64_t i = 0; i < x.count(); ++i) {
    const size_t s = size_t(map.at(i));
    const double quotient = ir::round_to(precision, ir::round_to(precision, x.f64(i)) / scales[s]);
    store_quantized(out, i, (whole ? std::nearbyint(quotient) : quotient) + zeros[s], saturate);
  }
  return ok_status();
}

// --- DequantizeLinear ---

Status infer_dequantize(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_scale_shape(ctx, 1));
  PLANISH_RETURN_IF_ERROR(check_scale_values(ctx, 1, false));
  const DataType dtype = type_attr(ctx.attrs(), "output_dtype").value_or(ctx.dtype(1));
  if (!opdef::kFloats.contains(dtype)) {
    return bad_attr("output_dtype", std::string(ir::name_of(dtype)), kRealTypes.to_string());
  }
  ctx.set_output(0, dtype, ctx.shape(0));
  return ok_status();
}

Status evaluate_dequantize(EvalContext& ctx) {
  const Tensor &x = ctx.input(0), &scale = ctx.input(1);
  Tensor& out = ctx.output(0);
  const ScaleMap map = scale_map(ctx, 1);
  const std::vector<double> scales = scale.f64_values();
  const std::vector<double> zeros = zero_points(ctx, 2, scale.count());
  for (int64_t i = 0; i < x.count(); ++i) {
    const size_t s = size_t(map.at(i));
    out.set_f64(i, (x.f64(i) - zeros[s]) * scales[s]);
  }
  return ok_status();
}

// --- DynamicQuantizeLinear ---

Status infer_dynamic(InferContext& ctx) {
  ctx.set_output(0, DataType::kU8, ctx.shape(0));
  ctx.set_output(1, DataType::kF32, {});
  ctx.set_output(2, DataType::kU8, {});
  return ok_status();
}

Status evaluate_dynamic(EvalContext& ctx) {
  const Tensor& x = ctx.input(0);
  // The specification computes in the type of the scale, step by step.
  const DataType dtype = ctx.output_dtype(1);
  double low = 0, high = 0;
  for (int64_t i = 0; i < x.count(); ++i) {
    const double v = x.f64(i);
    low = std::fmin(low, v);
    high = std::fmax(high, v);
  }
  double scale = ir::round_to(dtype, ir::round_to(dtype, high - low) / 255);
  // Nothing but zeros: any scale is right, and 0 would divide.
  if (!(scale > 0)) scale = 1;
  Tensor zero(DataType::kU8, {});
  store_quantized(zero, 0, ir::round_to(dtype, -low / scale));
  Tensor out(DataType::kU8, x.dims());
  for (int64_t i = 0; i < x.count(); ++i) {
    const double quotient = std::nearbyint(ir::round_to(dtype, x.f64(i) / scale));
    store_quantized(out, i, quotient + double(zero.i64(0)));
  }
  ctx.set_output(0, std::move(out));
  if (ctx.output_count() > 1) ctx.output(1).set_f64(0, scale);
  if (ctx.output_count() > 2) ctx.set_output(2, std::move(zero));
  return ok_status();
}

// Element types are numbers in ONNX and types here; 0 means absent.
Status import_typed(const opdef::NodeView& node, opdef::ImportContext& context) {
  ir::Attributes attrs;
  for (const std::string& key : node.attr_names()) {
    if (key != "output_dtype" && key != "precision") {
      attrs[key] = *node.attr(key);
      continue;
    }
    PLANISH_ASSIGN_OR_RETURN(const int64_t code, node.attr_int(key, 0));
    if (code == 0) continue;
    Result<DataType> dtype = opdef::data_type_from_onnx(code);
    if (!dtype.ok()) return dtype.status().at(cat("attribute '", key, "'"));
    attrs[key] = *dtype;
  }
  std::vector<ir::Value*> inputs;
  for (int i = 0; i < node.input_count(); ++i) inputs.push_back(node.input(i));
  PLANISH_ASSIGN_OR_RETURN(ir::Value* out,
                           context.add1(node.op_type(), std::move(inputs), std::move(attrs)));
  context.set_output(0, out);
  return ok_status();
}

std::vector<opdef::AttrSpec> granularity_attrs() {
  return {opdef::int_attr("axis", 1, "channel dim of a scale per channel or block"),
          opdef::int_attr("block_size", 0, "elements of the axis per scale; 0: no blocks"),
          opdef::optional_attr("output_dtype", AttrKind::kType, "element type of y")};
}

}  // namespace

void register_quantize_linear(opdef::OpRegistry& registry) {
  opdef::OpDef quantize;
  quantize.name = "QuantizeLinear";
  quantize.doc =
      "y = saturate(round(x / scale) + zero_point), halves to even. The scale is one for all, one "
      "per element of `axis`, or one per block_size elements along it.";
  quantize.inputs = {
      operand("x", kRealTypes | opdef::TypeSet{DataType::kI32}, "tensor", ""),
      operand("y_scale", kScaleTypes, "scale", ""),
      optional_operand("y_zero_point", kQuantizedTypes, "as y_scale; decides y's type", "")};
  quantize.outputs = {operand("y", kQuantizedTypes, "quantized tensor", "")};
  quantize.attrs = granularity_attrs();
  quantize.attrs.push_back(opdef::int_attr("saturate", 1, "0: 8-bit floats overflow"));
  quantize.attrs.push_back(
      opdef::optional_attr("precision", AttrKind::kType, "type of x / scale; default the scale's"));
  quantize.infer = infer_quantize;
  quantize.evaluate = evaluate_quantize;
  quantize.onnx = {{"QuantizeLinear", "", 10, 1 << 30, import_typed}};
  quantize.tensorflow = fake_quantization_rules();
  registry.add(std::move(quantize));

  const opdef::TypeSet stored = kQuantizedTypes | opdef::TypeSet{DataType::kI32};
  opdef::OpDef dequantize;
  dequantize.name = "DequantizeLinear";
  dequantize.doc = "y = (x - zero_point) * scale; scales as in QuantizeLinear.";
  dequantize.inputs = {
      operand("x", stored, "quantized tensor", "T1"), operand("x_scale", kScaleTypes, "scale", ""),
      optional_operand("x_zero_point", stored, "as x_scale, of x's type", "T1")};
  dequantize.outputs = {operand("y", kRealTypes, "real numbers", "")};
  dequantize.attrs = granularity_attrs();
  dequantize.infer = infer_dequantize;
  dequantize.evaluate = evaluate_dequantize;
  dequantize.onnx = {{"DequantizeLinear", "", 10, 1 << 30, import_typed}};
  dequantize.tensorflow = dequantization_rules();
  registry.add(std::move(dequantize));

  opdef::OpDef dynamic;
  dynamic.name = "DynamicQuantizeLinear";
  dynamic.doc =
      "x in u8 with the scale and zero point that its own range, 0 included, asks for. A tensor of "
      "zeros gets the scale 1.";
  dynamic.inputs = {operand("x", opdef::TypeSet{DataType::kF32}, "tensor", "")};
  dynamic.outputs = {operand("y", opdef::TypeSet{DataType::kU8}, "quantized tensor", ""),
                     operand("y_scale", opdef::TypeSet{DataType::kF32}, "scale, rank 0", ""),
                     operand("y_zero_point", opdef::TypeSet{DataType::kU8}, "rank 0", "")};
  dynamic.infer = infer_dynamic;
  dynamic.evaluate = evaluate_dynamic;
  dynamic.onnx = {{"DynamicQuantizeLinear", "", 11}};
  registry.add(std::move(dynamic));
}

}  // namespace planish::ops
