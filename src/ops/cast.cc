// Conversions of element type. Cast is elementwise and converts as ONNX's defaults say (saturating
// to the 8-bit floats). NarrowCast is the rare rest: no saturation, or a chosen rounding to e8m0,
// which an expression cannot say. BitCast keeps the bytes.
#include <cstring>

#include "base/float_types.h"
#include "base/text.h"
#include "ops/composer.h"
#include "ops/known_elements.h"
#include "ops/elementwise.h"
#include "opdef/import.h"
#include "opdef/onnx_types.h"

namespace planish::ops {
namespace {

using opdef::AttrKind;
using opdef::EvalContext;
using opdef::ImportContext;
using opdef::kAnyType;
using opdef::NodeView;

DataType type_attr(const ir::Attributes& attrs) { return std::get<DataType>(attrs.at("to")); }

Status infer_cast(InferContext& ctx) {
  DataType to = type_attr(ctx.attrs());
  ctx.set_output(0, to, ctx.shape(0));
  // Narrower integers would wrap.
  if (to == DataType::kI64 || to == DataType::kI32)
    map_content(ctx, [](std::span<const Dim> x) { return x[0]; });
  return ok_status();
}

Status cast(ExpressionContext& ctx) { return finish(ctx, ctx.arg(0)); }

const MiniFloat* mini_format(DataType type) {
  switch (type) {
    case DataType::kF8E4M3Fn: return &kF8E4M3Fn;
    case DataType::kF8E5M2: return &kF8E5M2;
    case DataType::kF8E4M3Fnuz: return &kF8E4M3Fnuz;
    case DataType::kF8E5M2Fnuz: return &kF8E5M2Fnuz;
    default: return nullptr;
  }
}

Result<E8M0Rounding> rounding_of(const std::string& mode) {
  if (mode == "up") return E8M0Rounding::kUp;
  if (mode == "down") return E8M0Rounding::kDown;
  if (mode == "nearest") return E8M0Rounding::kNearest;
  return bad_attr("round_mode", "'" + mode + "'", "'up', 'down' or 'nearest'");
}

Status infer_narrow_cast(InferContext& ctx) {
  DataType to = type_attr(ctx.attrs());
  if (to != DataType::kF8E8M0 && !mini_format(to))
    return bad_attr("to", std::string(ir::name_of(to)), "an 8-bit float type");
  PLANISH_RETURN_IF_ERROR(rounding_of(ctx.attr_string("round_mode")).status());
  ctx.set_output(0, to, ctx.shape(0));
  return ok_status();
}

Status evaluate_narrow_cast(EvalContext& ctx) {
  DataType to = type_attr(ctx.attrs());
  bool saturate = ctx.attr_int("saturate") != 0;
  PLANISH_ASSIGN_OR_RETURN(E8M0Rounding rounding, rounding_of(ctx.attr_string("round_mode")));
  const MiniFloat* format = mini_format(to);
  uint8_t* out = ctx.output(0).mutable_data_as<uint8_t>();
  std::vector<double> x = ctx.input(0).f64_values();
  for (size_t i = 0; i < x.size(); ++i)
    out[i] = format ? float_to_mini(float(x[i]), *format, saturate)
                    : float_to_e8m0(float(x[i]), saturate, rounding);
  return ok_status();
}

Status infer_bit_cast(InferContext& ctx) {
  DataType to = type_attr(ctx.attrs());
  if (ir::bits_of(to) != ir::bits_of(ctx.dtype(0)))
    return bad_attr("to", cat(ir::name_of(to), " of ", ir::bits_of(to), " bits"),
                    cat("a type as wide as ", ir::name_of(ctx.dtype(0)), " (",
                        ir::bits_of(ctx.dtype(0)), " bits)"));
  ctx.set_output(0, to, ctx.shape(0));
  return ok_status();
}

Status evaluate_bit_cast(EvalContext& ctx) {
  const Tensor& x = ctx.input(0);
  Tensor& out = ctx.output(0);
  if (x.bytes() > 0) std::memcpy(out.mutable_data(), x.data(), size_t(x.bytes()));
  return ok_status();
}

Result<ir::Value*> add_cast(const NodeView& node, ImportContext& ctx, DataType to) {
  if (!node.has_input(0)) return invalid_argument("input 0 (input) is missing");
  PLANISH_ASSIGN_OR_RETURN(int64_t saturate, node.attr_int("saturate", 1));
  PLANISH_ASSIGN_OR_RETURN(std::string mode, node.attr_string("round_mode", "up"));
  ir::Value* x = node.input(0);
  bool is_default = saturate != 0 && (to != DataType::kF8E8M0 || mode == "up");
  if (is_default || (to != DataType::kF8E8M0 && !mini_format(to)))
    return ctx.add1("Cast", {x}, {{"to", to}});
  return ctx.add1("NarrowCast", {x}, {{"to", to}, {"saturate", saturate}, {"round_mode", mode}});
}

Result<DataType> target_of(const NodeView& node) {
  const ir::Attribute* attr = node.attr("to");
  if (!attr) return invalid_argument("attribute 'to' is missing");
  if (const DataType* type = std::get_if<DataType>(attr)) return *type;
  PLANISH_ASSIGN_OR_RETURN(int64_t number, node.attr_int("to", 0));
  Result<DataType> type = opdef::data_type_from_onnx(number);
  if (!type.ok()) return type.status().at("attribute 'to'");
  return type;
}

Status import_cast(const NodeView& node, ImportContext& ctx) {
  PLANISH_ASSIGN_OR_RETURN(DataType to, target_of(node));
  PLANISH_ASSIGN_OR_RETURN(ir::Value * y, add_cast(node, ctx, to));
  ctx.set_output(0, y);
  return ok_status();
}

Status import_cast_like(const NodeView& node, ImportContext& ctx) {
  if (!node.has_input(1)) return invalid_argument("input 1 (target_type) is missing");
  PLANISH_ASSIGN_OR_RETURN(ir::Value * y, add_cast(node, ctx, node.input(1)->type.dtype));
  ctx.set_output(0, y);
  return ok_status();
}

Status import_bit_cast(const NodeView& node, ImportContext& ctx) {
  PLANISH_ASSIGN_OR_RETURN(DataType to, target_of(node));
  if (!node.has_input(0)) return invalid_argument("input 0 (input) is missing");
  PLANISH_ASSIGN_OR_RETURN(ir::Value * y, ctx.add1("BitCast", {node.input(0)}, {{"to", to}}));
  ctx.set_output(0, y);
  return ok_status();
}

Status import_tensorflow_cast(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  const DataType to = c.attr_type("DstT", DataType::kF32);
  return c.finish({c.op("Cast", {c.in(0)}, {{"to", to}})});
}
Status import_tensorflow_bitcast(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  const DataType to = c.attr_type("type", DataType::kF32);
  return c.finish({c.op("BitCast", {c.in(0)}, {{"to", to}})});
}

}  // namespace

void register_cast(opdef::OpRegistry& registry) {
  opdef::AttrSpec to = opdef::required_attr("to", AttrKind::kType, "element type of the result");
  opdef::OpDef def = elementwise_def(
      "Cast", "x converted to another element type; the 8-bit floats saturate",
      {operand("input", kAnyType, "operand", "T1")}, operand("output", kAnyType, "result", "T2"),
      cast);
  def.attrs = {to};
  def.infer = infer_cast;
  def.onnx = {{"Cast", "", 6, 1 << 30, import_cast}, {"CastLike", "", 15, 1 << 30, import_cast_like}};
  def.tensorflow = {tensorflow("Cast", import_tensorflow_cast)};
  registry.add(std::move(def));

  def = {};
  def.name = "NarrowCast";
  def.doc = "x converted to an 8-bit float with chosen overflow and rounding";
  def.inputs = {operand("input", kAnyType, "operand", "T1")};
  def.outputs = {operand("output", opdef::kFloat8 | opdef::TypeSet{DataType::kF8E8M0}, "result",
                         "T2")};
  def.attrs = {to, opdef::int_attr("saturate", 1, "0: overflow gives infinity or NaN"),
               opdef::string_attr("round_mode", "up", "to e8m0: 'up', 'down' or 'nearest'")};
  def.infer = infer_narrow_cast;
  def.evaluate = evaluate_narrow_cast;
  registry.add(std::move(def));

  def = {};
  def.name = "BitCast";
  def.doc = "the same bytes read as another type of equal width";
  def.inputs = {operand("input", kAnyType, "operand", "T1")};
  def.outputs = {operand("output", kAnyType, "result", "T2")};
  def.attrs = {to};
  def.infer = infer_bit_cast;
  def.evaluate = evaluate_bit_cast;
  def.onnx = {{"BitCast", "", 26, 1 << 30, import_bit_cast}};
  def.tensorflow = {tensorflow("Bitcast", import_tensorflow_bitcast)};
  registry.add(std::move(def));
}

}  // namespace planish::ops
