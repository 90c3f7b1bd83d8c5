// Comparisons and tests of floating values; the results are bool.
#include "ops/composer.h"
#include "ops/known_elements.h"
#include "ops/elementwise.h"

namespace planish::ops {
namespace {

using opdef::kBools;
using opdef::kFloats;
using opdef::kFloat8;
using opdef::kNumbers;
using opdef::TypeSet;

// `swapped`: a > b is b < a, so that NaN makes all of them false.
template <ScalarOp kOp, bool kSwapped>
Status compare(ExpressionContext& ctx) {
  int a = ctx.arg(kSwapped ? 1 : 0), b = ctx.arg(kSwapped ? 0 : 1);
  return finish(ctx, ctx.builder().binary(kOp, a, b));
}

Status infer_equal(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(infer_predicate(ctx));
  map_content(ctx, [](std::span<const Dim> x) -> std::optional<Dim> {
    if (x[0] == x[1]) return Dim(1);
    Dim difference = x[0] - x[1];
    if (lowest(difference).value_or(0) > 0 || highest(difference).value_or(0) < 0) return Dim(0);
    return std::nullopt;
  });
  return ok_status();
}

int as_float(ExpressionContext& ctx) {
  bool small = kFloat8.contains(ctx.dtype(0));
  return small ? ctx.builder().cast(ctx.arg(0), DataType::kF32) : ctx.arg(0);
}

Status is_nan(ExpressionContext& ctx) {
  return finish(ctx, ctx.builder().unary(ScalarOp::kIsNan, as_float(ctx)));
}

Status is_inf(ExpressionContext& ctx) {
  ExprBuilder& b = ctx.builder();
  int x = as_float(ctx);
  bool negative = ctx.attr_int("detect_negative") != 0;
  bool positive = ctx.attr_int("detect_positive") != 0;
  int infinite = b.unary(ScalarOp::kIsInf, x);
  int zero = imm_like(ctx, 0, x);
  if (!negative) infinite = b.binary(ScalarOp::kAnd, infinite, b.less(zero, x));
  if (!positive) infinite = b.binary(ScalarOp::kAnd, infinite, b.less(x, zero));
  return finish(ctx, infinite);
}

struct CompareRow {
  const char* name;
  TypeSet types;
  Status (*expression)(ExpressionContext&);
  Status (*infer)(InferContext&);
  const char* doc;
  const char* tensorflow;
};

constexpr CompareRow kRows[] = {
    {"Equal", kNumbers | kBools, compare<ScalarOp::kEqual, false>, infer_equal, "A = B", "Equal"},
    {"Greater", kNumbers, compare<ScalarOp::kLess, true>, infer_predicate, "A > B", "Greater"},
    {"GreaterOrEqual", kNumbers, compare<ScalarOp::kLessEqual, true>, infer_predicate, "A >= B",
     "GreaterEqual"},
    {"Less", kNumbers, compare<ScalarOp::kLess, false>, infer_predicate, "A < B", "Less"},
    {"LessOrEqual", kNumbers, compare<ScalarOp::kLessEqual, false>, infer_predicate, "A <= B",
     "LessEqual"},
};

Status import_not_equal(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  return c.finish({c.op("Not", {c.op("Equal", {c.in(0), c.in(1)})})});
}
Status import_approximate_equal(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value* distance = c.op("Abs", {c.sub(c.in(0), c.in(1))});
  ir::Value* tolerance = c.scalar_like(c.attr_float("tolerance", 1e-5), distance);
  return c.finish({c.op("Less", {distance, tolerance})});
}
Status import_is_finite(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value* x = c.in(0);
  return c.finish({c.op("Not", {c.op("Or", {c.op("IsNaN", {x}), c.op("IsInf", {x})})})});
}

}  // namespace

void register_comparison(opdef::OpRegistry& registry) {
  for (const CompareRow& row : kRows) {
    opdef::OpDef def = elementwise_def(
        row.name, row.doc, {operand("A", row.types, "left"), operand("B", row.types, "right")},
        operand("C", kBools, "whether it holds", "T1"), row.expression);
    def.infer = row.infer;
    def.tensorflow = tensorflow_names(row.tensorflow);
    if (def.name == "Equal") def.tensorflow.push_back(tensorflow("NotEqual", import_not_equal));
    if (def.name == "Less")
      def.tensorflow.push_back(tensorflow("ApproximateEqual", import_approximate_equal));
    registry.add(std::move(def));
  }
  TypeSet types = kFloats | kFloat8;
  opdef::OpDef def = elementwise_def("IsNaN", "whether x is not a number",
                                     {operand("X", types, "operand")},
                                     operand("Y", kBools, "whether it holds", "T1"), is_nan);
  def.infer = infer_predicate;
  def.tensorflow = {tensorflow("IsNan")};
  registry.add(std::move(def));

  def = elementwise_def("IsInf", "whether x is infinite", {operand("X", types, "operand")},
                        operand("Y", kBools, "whether it holds", "T1"), is_inf);
  def.attrs = {opdef::int_attr("detect_negative", 1, "0: negative infinity does not count"),
               opdef::int_attr("detect_positive", 1, "0: positive infinity does not count")};
  def.infer = infer_predicate;
  def.tensorflow = {tensorflow("IsInf"), tensorflow("IsFinite", import_is_finite)};
  registry.add(std::move(def));
}

}  // namespace planish::ops
