// QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear: between real numbers and narrow types
// by scale and zero point, per tensor, per channel or per block. All of INT8, INT4 and FP8 in a
// graph is said with the first two.
#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "ops/composer.h"
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

// x clipped to [low, high] and rounded to multiples of the scale that begin at low.
ir::Value* fake_quantized(Composer& c, ir::Value* x, ir::Value* low, ir::Value* high,
                          ir::Value* scale) {
  ir::Value* steps = c.div(c.sub(c.op("Min", {c.op("Max", {x, low}), high}), low), scale);
  ir::Value* rounded = c.op("Floor", {c.add(steps, c.scalar(0.5, DataType::kF32))});
  return c.add(c.mul(rounded, scale), low);
}
// FakeQuantWithMinMaxArgs, Vars and VarsPerChannel: the range is moved so that zero is a step.
Status import_fake_quant(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value* x = c.in(0);
  const int64_t bits = c.attr_int("num_bits", 8);
  if (bits < 2 || bits > 16) return invalid_argument(cat("num_bits is ", bits, ", expected 2 to 16"));
  const double lowest = c.attr_int("narrow_range", 0) ? 1 : 0, highest = double((1 << bits) - 1);
  std::vector<double> mins, maxs;
  if (node.op_type() == "FakeQuantWithMinMaxArgs") {
    mins = {c.attr_float("min", -6)};
    maxs = {c.attr_float("max", 6)};
  } else {
    mins = c.need_floats(1, "min");
    maxs = c.need_floats(2, "max");
  }
  if (!c.ok()) return c.finish({});
  if (mins.size() != maxs.size()) return invalid_argument("min and max have different lengths");
  std::vector<double> lows, highs, scales;
  for (size_t i = 0; i < mins.size(); ++i) {
    if (!(mins[i] < maxs[i]))
      return invalid_argument(cat("the range ", mins[i], " to ", maxs[i], " is empty"));
    const double scale = double(float((maxs[i] - mins[i]) / (highest - lowest)));
    const double exact = lowest - mins[i] / scale;
    const double zero = exact < lowest ? lowest : exact > highest ? highest : std::round(exact);
    lows.push_back((lowest - zero) * scale);
    highs.push_back((highest - zero) * scale);
    scales.push_back(scale);
  }
  const bool per_channel = node.op_type() == "FakeQuantWithMinMaxVarsPerChannel";
  const auto values = [&](const std::vector<double>& list) {
    const std::vector<int64_t> dims = per_channel ? std::vector<int64_t>{int64_t(list.size())}
                                                  : std::vector<int64_t>();
    return c.constant(Tensor::from_f64(DataType::kF32, dims, list));
  };
  return c.finish({fake_quantized(c, x, values(lows), values(highs), values(scales))});
}

// V2 to V4: symmetric around zero (signed) or from zero; the range is given or the data's.
Status import_quantize_and_dequantize(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value* x = c.in(0);
  const bool is_signed = c.attr_int("signed_input", 1) != 0;
  const bool given = c.attr_int("range_given", node.op_type() == "QuantizeAndDequantizeV3" ? 1 : 0);
  int64_t bits = c.attr_int("num_bits", 8);
  if (node.op_type() == "QuantizeAndDequantizeV3") bits = c.need_one(3, "num_bits");
  if (c.attr_int("axis", -1) != -1) return unsupported("a range per channel (axis)");
  if (bits < 2 || bits > 30) return invalid_argument(cat("num_bits is ", bits, ", expected 2 to 30"));
  const bool narrow = c.attr_int("narrow_range", 0) != 0;
  const double highest = double((int64_t(1) << (is_signed ? bits - 1 : bits)) - 1);
  const double lowest = !is_signed ? 0 : narrow ? -highest : -highest - 1;
  const DataType type = c.dtype(x);
  ir::Value* zero = c.scalar(0, type);
  ir::Value* low = given ? c.in(1) : c.op("ReduceMin", {x}, {{"keepdims", int64_t(0)}});
  ir::Value* high = given ? c.in(2) : c.op("ReduceMax", {x}, {{"keepdims", int64_t(0)}});
  // Steps per unit: the smaller of what both ends allow; an end on the wrong side allows any.
  const double kAny = 3.4028234663852886e38;
  ir::Value* above = c.where(c.op("Greater", {high, zero}), c.div(c.scalar(highest, type), high),
                             c.scalar(kAny, type));
  ir::Value* steps = above;
  if (is_signed) {
    ir::Value* below = c.where(c.op("Less", {low, zero}), c.div(c.scalar(lowest, type), low),
                               c.scalar(kAny, type));
    steps = c.op("Min", {below, above});
  }
  steps = c.where(c.op("Less", {steps, c.scalar(kAny, type)}), steps, c.scalar(1, type));
  ir::Value* clipped = c.op("Max", {c.op("Min", {x, c.div(c.scalar(highest, type), steps)}),
                                    c.div(c.scalar(lowest, type), steps)});
  ir::Value* scaled = c.mul(clipped, steps);
  ir::Value* rounded = c.attr_string("round_mode", "HALF_TO_EVEN") == "HALF_UP"
                           ? c.op("Floor", {c.add(scaled, c.scalar(0.5, type))})
                           : c.op("Round", {scaled});
  return c.finish({c.div(rounded, steps)});
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
  for (const char* tf : {"FakeQuantWithMinMaxArgs", "FakeQuantWithMinMaxVars",
                         "FakeQuantWithMinMaxVarsPerChannel"})
    quantize.tensorflow.push_back(tensorflow(tf, import_fake_quant));
  for (const char* tf :
       {"QuantizeAndDequantizeV2", "QuantizeAndDequantizeV3", "QuantizeAndDequantizeV4"})
    quantize.tensorflow.push_back(tensorflow(tf, import_quantize_and_dequantize));
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
