// PartialMoments and JoinMoments: the statistics of rows, taken in two halves, so that whoever makes a
// row can leave what it saw of it and whoever reads the row can put that together: a normalization
// without a step of its own. Only Planish puts them into graphs (defer_layer_norm).
#include <cmath>

#include "base/text.h"
#include "ops/composer.h"
#include "opdef/import.h"

namespace planish::ops {
namespace {

using opdef::EvalContext;
using opdef::kFloats;

Status infer_partial(InferContext& ctx) {
  const int64_t width = ctx.attr_int("width");
  Shape shape = ctx.shape(0);
  if (shape.empty()) return invalid_argument("input 0 (input) has rank 0, expected at least 1");
  const auto size = shape.back().constant();
  if (width < 1 || !size || *size % width)
    return invalid_argument(cat("width: got ", width, ", expected a divisor of the last dim, ",
                                ir::to_string(shape)));
  shape.back() = *size / width;
  shape.push_back(2);
  ctx.set_output(0, ir::DataType::kF32, std::move(shape));
  return ok_status();
}

Status evaluate_partial(EvalContext& ctx) {
  const int64_t width = ctx.attr_int("width");
  const Tensor& in = ctx.input(0);
  Tensor& out = ctx.output(0);
  for (int64_t part = 0; part * width < in.count(); ++part) {
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < width; ++i) sum += in.f64(part * width + i);
    const double mean = sum / double(width);
    for (int64_t i = 0; i < width; ++i) {
      const double d = in.f64(part * width + i) - mean;
      squares += d * d;
    }
    out.set_f64(2 * part, mean);
    out.set_f64(2 * part + 1, squares);
  }
  return ok_status();
}

Status infer_join(InferContext& ctx) {
  Shape shape = ctx.shape(0);
  if (shape.size() < 2 || !(shape.back() == Dim(2)) || ctx.attr_int("width") < 1)
    return invalid_argument(cat("moments are ", ir::to_string(shape), " of ", ctx.attr_int("width"),
                                " elements, expected [..., parts, 2] of at least 1"));
  shape.pop_back();
  shape.back() = 1;
  ctx.set_output(0, ir::DataType::kF32, shape);
  ctx.set_output(1, ir::DataType::kF32, shape);
  return ok_status();
}

Status evaluate_join(EvalContext& ctx) {
  const double width = double(ctx.attr_int("width")), epsilon = ctx.attr_float("epsilon");
  const Tensor& in = ctx.input(0);
  const int64_t parts = in.dim(in.rank() - 2);
  for (int64_t row = 0; row < ctx.output(0).count(); ++row) {
    double mean = 0, squares = 0;
    for (int64_t p = 0; p < parts; ++p) mean += in.f64((row * parts + p) * 2) / double(parts);
    for (int64_t p = 0; p < parts; ++p) {
      const double d = in.f64((row * parts + p) * 2) - mean;
      squares += in.f64((row * parts + p) * 2 + 1) + d * d * width;
    }
    ctx.output(0).set_f64(row, mean);
    ctx.output(1).set_f64(row, 1 / std::sqrt(squares / (width * double(parts)) + epsilon));
  }
  return ok_status();
}

Status refuse_import(const opdef::NodeView& node, opdef::ImportContext&) {
  return unsupported(cat(node.op_type(), " is an operator of compiled graphs, not of models"));
}

}  // namespace

void register_moments(opdef::OpRegistry& registry) {
  opdef::OpDef def;
  def.name = "PartialMoments";
  def.doc =
      "Mean and sum of squared deviations from it of every `width` elements of a row, [..., parts, 2]. "
      "Kernels may group other elements of the row than neighbouring ones: what counts is what "
      "JoinMoments makes of all parts.";
  def.inputs = {operand("input", kFloats, "rows along the last dim")};
  def.outputs = {operand("moments", opdef::kAnyType, "f32", "U")};
  def.attrs = {opdef::required_attr("width", opdef::AttrKind::kInt, "elements of a part")};
  def.infer = infer_partial;
  def.evaluate = evaluate_partial;
  def.onnx = {{def.name, "planish", 1, 1 << 30, refuse_import}};
  registry.add(std::move(def));

  def = {};
  def.name = "JoinMoments";
  def.doc = "Mean and 1 / sqrt(variance + epsilon) of rows, [..., 1] each, from their PartialMoments.";
  def.inputs = {operand("moments", kFloats, "[..., parts, 2]")};
  def.outputs = {operand("mean", opdef::kAnyType, "f32", "U"),
                 operand("scale", opdef::kAnyType, "f32", "V")};
  def.attrs = {opdef::required_attr("width", opdef::AttrKind::kInt, "elements of a part"),
               opdef::required_attr("epsilon", opdef::AttrKind::kFloat, "added to the variance")};
  def.infer = infer_join;
  def.evaluate = evaluate_join;
  def.onnx = {{def.name, "planish", 1, 1 << 30, refuse_import}};
  registry.add(std::move(def));
}

}  // namespace planish::ops
