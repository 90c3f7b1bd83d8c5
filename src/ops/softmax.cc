// Softmax, LogSoftmax and Hardmax along one axis. Before opset 13 the operand is taken as a matrix,
// split at the axis (1 when absent), and every row is one line: Flatten, operator, Reshape.
#include <cmath>
#include <limits>

#include "base/text.h"
#include "ops/composer.h"
#include "ops/lines.h"
#include "ops/shape_rules.h"
#include "opdef/import.h"

namespace planish::ops {
namespace {

using opdef::EvalContext;
using opdef::ImportContext;
using opdef::kFloats;
using opdef::NodeView;

Status infer_softmax(InferContext& ctx) {
  if (ctx.rank(0) > 0) {
    PLANISH_RETURN_IF_ERROR(ctx.axis("axis", ctx.rank(0)).status());
  } else {
    PLANISH_RETURN_IF_ERROR(check_rank(ctx, 0, 1));
  }
  ctx.set_output(0, ctx.dtype(0), ctx.shape(0));
  return ok_status();
}

// line(values, start, step, length) rewrites one line.
template <class Line>
Status evaluate_lines(EvalContext& ctx, Line line) {
  const Tensor& x = ctx.input(0);
  int64_t axis = ctx.attr_int("axis");
  Lines lines = lines_of(x.dims(), int(axis < 0 ? axis + x.rank() : axis));
  std::vector<double> values = x.f64_values();
  if (lines.length > 0)
    for (int64_t i = 0; i < lines.count(); ++i)
      line(values.data() + lines.start(i), lines.step(), lines.length);
  ctx.output(0).assign_f64(values);
  return ok_status();
}

// The maximum (NaN when there is one), and the sum of e^(x - maximum).
struct LineSum {
  double top, sum;
};
LineSum line_sum(const double* x, int64_t step, int64_t length) {
  double top = -std::numeric_limits<double>::infinity(), sum = 0;
  for (int64_t i = 0; i < length; ++i)
    if (!(x[i * step] <= top)) top = std::isnan(top) ? top : x[i * step];
  for (int64_t i = 0; i < length; ++i) sum += std::exp(x[i * step] - top);
  return {top, sum};
}

Status evaluate_softmax(EvalContext& ctx) {
  return evaluate_lines(ctx, [](double* x, int64_t step, int64_t length) {
    LineSum s = line_sum(x, step, length);
    for (int64_t i = 0; i < length; ++i) x[i * step] = std::exp(x[i * step] - s.top) / s.sum;
  });
}

Status evaluate_log_softmax(EvalContext& ctx) {
  return evaluate_lines(ctx, [](double* x, int64_t step, int64_t length) {
    LineSum s = line_sum(x, step, length);
    for (int64_t i = 0; i < length; ++i) x[i * step] = x[i * step] - s.top - std::log(s.sum);
  });
}

// 1 at the first maximum, 0 elsewhere.
Status evaluate_hardmax(EvalContext& ctx) {
  return evaluate_lines(ctx, [](double* x, int64_t step, int64_t length) {
    int64_t best = 0;
    for (int64_t i = 1; i < length; ++i)
      if (x[i * step] > x[best * step]) best = i;
    for (int64_t i = 0; i < length; ++i) x[i * step] = i == best ? 1 : 0;
  });
}

int64_t accumulation(const ir::Node& node) {
  const Shape& x = node.inputs[0]->type.shape;
  int64_t axis = node.attr_int("axis");
  if (axis < 0) axis += int64_t(x.size());
  return std::max<int64_t>(x[size_t(axis)].constant().value_or(1), 1);
}

Status import_before_13(const NodeView& node, ImportContext& ctx) {
  if (!node.has_input(0)) return invalid_argument("input 0 (input) is missing");
  PLANISH_ASSIGN_OR_RETURN(int64_t axis, node.attr_int("axis", 1));
  ir::Value* x = node.input(0);
  int rank = x->type.rank();
  // Splitting a vector at its end is axis 1 of rank 1: one line of one element each.
  bool at_end = axis == rank && rank > 0;
  if (!at_end) {
    PLANISH_ASSIGN_OR_RETURN(int normal, normalize_axis("attribute 'axis'", axis, rank));
    axis = normal;
  }
  // With nothing but ones around one axis, the matrix' rows are that axis' lines.
  int line_axis = -1, long_dims = 0;
  for (int i = int(axis); i < rank; ++i)
    if (x->type.shape[size_t(i)] != Dim(1)) line_axis = i, ++long_dims;
  ir::Value* y = nullptr;
  if (!at_end && long_dims <= 1) {
    int64_t on = line_axis < 0 ? axis : line_axis;
    PLANISH_ASSIGN_OR_RETURN(y, ctx.add1(node.op_type(), {x}, {{"axis", on}}));
  } else {
    PLANISH_ASSIGN_OR_RETURN(ir::Value * flat, ctx.add1("Flatten", {x}, {{"axis", axis}}));
    PLANISH_ASSIGN_OR_RETURN(ir::Value * rows,
                             ctx.add1(node.op_type(), {flat}, {{"axis", int64_t(1)}}));
    PLANISH_ASSIGN_OR_RETURN(ir::Value * shape, ctx.add1("Shape", {x}));
    PLANISH_ASSIGN_OR_RETURN(y, ctx.add1("Reshape", {rows, shape}, {{"allowzero", int64_t(1)}}));
  }
  ctx.set_output(0, y);
  return ok_status();
}

}  // namespace

void register_softmax(opdef::OpRegistry& registry) {
  auto add = [&](const char* name, const char* doc, Status (*evaluate)(EvalContext&)) {
    opdef::OpDef def;
    def.name = name;
    def.doc = doc;
    def.inputs = {operand("input", kFloats, "operand")};
    def.outputs = {operand("output", kFloats, "result, of the operand's shape")};
    def.attrs = {opdef::int_attr("axis", -1, "along which a line sums to 1")};
    def.kind = opdef::FusionKind::kReduction;
    def.infer = infer_softmax;
    def.evaluate = evaluate;
    def.accumulation = accumulation;
    def.onnx = {{name, "", 1, 12, import_before_13}, {name, "", 13, 1 << 30, nullptr}};
    if (def.name != "Hardmax") def.tensorflow = {tensorflow(def.name)};
    registry.add(std::move(def));
  };
  add("Hardmax", "1 at the first maximum along the axis, 0 elsewhere", evaluate_hardmax);
  add("LogSoftmax", "logarithm of Softmax", evaluate_log_softmax);
  add("Softmax", "e^x over the sum of e^x along the axis", evaluate_softmax);
}

}  // namespace planish::ops
