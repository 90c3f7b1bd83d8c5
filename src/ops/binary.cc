// Arithmetic on two operands, shifts and bitwise logic. Integers divide towards zero and wrap;
// f16 and bf16 results are rounded once. Integer operands whose elements are known as dim
// expressions keep them (shape arithmetic).
#include "base/text.h"
#include "ops/composer.h"
#include "ops/known_elements.h"
#include "ops/elementwise.h"
#include "ops/spectrum.h"

namespace planish::ops {
namespace {

using opdef::kFloats;
using opdef::kInts;
using opdef::kNumbers;
using opdef::TypeSet;

Status infer_add(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(infer_elementwise(ctx));
  map_content(ctx, [](std::span<const Dim> x) { return x[0] + x[1]; });
  return ok_status();
}
Status infer_sub(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(infer_elementwise(ctx));
  map_content(ctx, [](std::span<const Dim> x) { return x[0] - x[1]; });
  return ok_status();
}
Status infer_mul(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(infer_elementwise(ctx));
  map_content(ctx, [](std::span<const Dim> x) { return x[0] * x[1]; });
  return ok_status();
}
// Truncation equals floor where both sides are known not to be negative.
Status infer_div(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(infer_elementwise(ctx));
  map_content(ctx, [](std::span<const Dim> x) -> std::optional<Dim> {
    if (lowest(x[0]).value_or(-1) < 0) return std::nullopt;
    if (x[1].is_constant() ? x[1].value() <= 0 : lowest(x[1]).value_or(-1) < 0) return std::nullopt;
    return floordiv(x[0], x[1]);
  });
  return ok_status();
}
Status infer_mod(InferContext& ctx) {
  int64_t fmod = ctx.attr_int("fmod");
  if (fmod != 0 && fmod != 1) return bad_attr("fmod", std::to_string(fmod), "0 or 1");
  PLANISH_RETURN_IF_ERROR(infer_elementwise(ctx));
  map_content(ctx, [](std::span<const Dim> x) -> std::optional<Dim> {
    if (lowest(x[0]).value_or(-1) < 0 || !x[1].is_constant() || x[1].value() <= 0)
      return std::nullopt;
    return mod(x[0], x[1]);
  });
  return ok_status();
}

Status mod_expression(ExpressionContext& ctx) {
  bool fmod = ctx.attr_int("fmod") == 1;
  ScalarOp op = fmod ? ScalarOp::kFmod : ScalarOp::kMod;
  return finish(ctx, ctx.builder().binary(op, ctx.arg(0), ctx.arg(1)));
}

Status infer_shift(InferContext& ctx) {
  const std::string& direction = ctx.attr_string("direction");
  if (direction != "LEFT" && direction != "RIGHT")
    return bad_attr("direction", cat("'", direction, "'"), "'LEFT' or 'RIGHT'");
  return infer_elementwise(ctx);
}

// The base's type decides the result; a fractional exponent of an integer base computes in f64.
Status pow_expression(ExpressionContext& ctx) {
  ExprBuilder& b = ctx.builder();
  DataType base = ctx.dtype(0), exponent = ctx.dtype(1);
  DataType type = base;
  if (base == DataType::kF16 || base == DataType::kBF16) type = DataType::kF32;
  if (exponent == DataType::kF64 || (!ir::is_float(base) && ir::is_float(exponent)))
    type = DataType::kF64;
  int x = b.dtype(ctx.arg(0)) == type ? ctx.arg(0) : b.cast(ctx.arg(0), type);
  int y = b.dtype(ctx.arg(1)) == type ? ctx.arg(1) : b.cast(ctx.arg(1), type);
  return finish(ctx, b.binary(ScalarOp::kPow, x, y));
}

// Shifts by a negative amount or by at least the width give what the sign bit fills in.
Status shift_expression(ExpressionContext& ctx) {
  ExprBuilder& b = ctx.builder();
  bool left = ctx.attr_string("direction") == "LEFT";
  DataType type = ctx.dtype(0);
  int x = ctx.arg(0), y = ctx.arg(1);
  int zero = b.imm_int(0, type);
  int last = b.imm_int(ir::bits_of(type) - 1, type);
  int outside = b.binary(ScalarOp::kOr, b.less(y, zero), b.less(last, y));
  int amount = b.select(outside, last, y);
  int shifted = b.binary(left ? ScalarOp::kShiftLeft : ScalarOp::kShiftRight, x, amount);
  int fill = left || !ir::is_signed_int(type)
                 ? zero
                 : b.select(b.less(x, zero), b.imm_int(-1, type), zero);
  return finish(ctx, b.select(outside, fill, shifted));
}

struct BinaryRow {
  const char* name;
  TypeSet types;
  Status (*expression)(ExpressionContext&);
  Status (*infer)(InferContext&);
  const char* doc;
};

constexpr BinaryRow kRows[] = {
    {"Add", kNumbers, binary_expression<ScalarOp::kAdd>, infer_add, "A + B"},
    {"And", opdef::kBools, binary_expression<ScalarOp::kAnd>, infer_elementwise, "A and B"},
    {"BitwiseAnd", kInts, binary_expression<ScalarOp::kBitAnd>, infer_elementwise,
     "bits set in both"},
    {"BitwiseOr", kInts, binary_expression<ScalarOp::kBitOr>, infer_elementwise,
     "bits set in either"},
    {"BitwiseXor", kInts, binary_expression<ScalarOp::kBitXor>, infer_elementwise,
     "bits set in one alone"},
    {"Div", kNumbers, binary_expression<ScalarOp::kDiv>, infer_div,
     "A / B; integers round towards zero"},
    {"Mul", kNumbers, binary_expression<ScalarOp::kMul>, infer_mul, "A * B"},
    {"Or", opdef::kBools, binary_expression<ScalarOp::kOr>, infer_elementwise, "A or B"},
    {"Sub", kNumbers, binary_expression<ScalarOp::kSub>, infer_sub, "A - B"},
    {"Xor", opdef::kBools, binary_expression<ScalarOp::kXor>, infer_elementwise,
     "exactly one of A and B"},
};

// Floor division and remainder of integers; a difference that divides exactly keeps shape arithmetic.
Status import_floor_div(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value *a = c.in(0), *b = c.in(1);
  if (c.is_float(a)) return c.finish({c.op("Floor", {c.div(a, b)})});
  return c.finish({c.div(c.sub(a, c.op("Mod", {a, b})), b)});
}
Status import_truncated_mod(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  return c.finish({c.op("Mod", {c.in(0), c.in(1)}, {{"fmod", int64_t(1)}})});
}
Status import_square(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  return c.finish({c.mul(c.in(0), c.in(0))});
}
Status import_squared_difference(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value* d = c.sub(c.in(0), c.in(1));
  return c.finish({c.mul(d, d)});
}
Status import_bias_add(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value *x = c.in(0), *bias = c.in(1);
  if (!c.channels_last() && c.rank(x) > 2) {
    std::vector<int64_t> dims(size_t(c.rank(x)) - 1, 1);
    dims[0] = -1;
    bias = c.reshape(bias, dims);
  }
  return c.finish({c.add(x, bias)});
}
// y where the other operand is zero: kOp(x, y) elsewhere. The operand that decides is `decides`.
Status unless_zero(const NodeView& node, ImportContext& ctx, int decides,
                   ir::Value* (*formula)(Composer&, ir::Value*, ir::Value*)) {
  Composer c(node, ctx);
  ir::Value *x = c.in(0), *y = c.in(1), *zero = c.scalar_like(0, x);
  ir::Value* is_zero = c.op("Equal", {decides ? y : x, zero});
  return c.finish({c.where(is_zero, zero, formula(c, x, y))});
}
Status import_div_no_nan(const NodeView& node, ImportContext& ctx) {
  return unless_zero(node, ctx, 1, [](Composer& c, auto* x, auto* y) { return c.div(x, y); });
}
Status import_mul_no_nan(const NodeView& node, ImportContext& ctx) {
  return unless_zero(node, ctx, 1, [](Composer& c, auto* x, auto* y) { return c.mul(x, y); });
}
Status import_xdivy(const NodeView& node, ImportContext& ctx) {
  return unless_zero(node, ctx, 0, [](Composer& c, auto* x, auto* y) { return c.div(x, y); });
}
Status import_xlogy(const NodeView& node, ImportContext& ctx) {
  return unless_zero(node, ctx, 0,
                     [](Composer& c, auto* x, auto* y) { return c.mul(x, c.op("Log", {y})); });
}
Status import_xlog1py(const NodeView& node, ImportContext& ctx) {
  return unless_zero(node, ctx, 0, [](Composer& c, auto* x, auto* y) {
    return c.mul(x, c.op("Log", {c.add(y, c.scalar_like(1, y))}));
  });
}
Status import_shift(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  const std::string direction = node.op_type() == "LeftShift" ? "LEFT" : "RIGHT";
  return c.finish({c.op("BitShift", {c.in(0), c.in(1)}, {{"direction", direction}})});
}

// Of vectors of three elements, the last dim.
Status import_cross(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  const auto turned = [&](int input, std::vector<int64_t> order) {
    return c.op("Gather", {c.in(input), c.ints(std::move(order))}, {{"axis", int64_t(-1)}});
  };
  return c.finish({c.sub(c.mul(turned(0, {1, 2, 0}), turned(1, {2, 0, 1})),
                         c.mul(turned(0, {2, 0, 1}), turned(1, {1, 2, 0})))});
}

std::vector<opdef::ImportRule> tensorflow_rules(std::string_view op) {
  if (op == "Add")
    return {tensorflow("Add"), tensorflow("AddV2"), tensorflow("BiasAdd", import_bias_add),
            tensorflow("BiasAddV1", import_bias_add)};
  if (op == "Sub")
    return {tensorflow("Sub"), tensorflow("SquaredDifference", import_squared_difference),
            tensorflow("Cross", import_cross)};
  if (op == "Mul")
    return {tensorflow("Mul"), tensorflow("Square", import_square),
            tensorflow("MulNoNan", import_mul_no_nan), tensorflow("Xlogy", import_xlogy),
            tensorflow("Xlog1py", import_xlog1py)};
  if (op == "Div")
    return {tensorflow("Div"), tensorflow("RealDiv"), tensorflow("TruncateDiv"),
            tensorflow("FloorDiv", import_floor_div), tensorflow("DivNoNan", import_div_no_nan),
            tensorflow("Xdivy", import_xdivy)};
  if (op == "And") return {tensorflow("LogicalAnd")};
  if (op == "Or") return {tensorflow("LogicalOr")};
  if (op.substr(0, 7) == "Bitwise") return {tensorflow(std::string(op))};
  return {};
}

}  // namespace

void register_binary(opdef::OpRegistry& registry) {
  for (const BinaryRow& row : kRows) {
    opdef::OpDef def = elementwise_def(
        row.name, row.doc, {operand("A", row.types, "left"), operand("B", row.types, "right")},
        operand("C", row.types, "result"), row.expression);
    def.infer = row.infer;
    def.tensorflow = tensorflow_rules(def.name);
    const auto more = def.name == "Mul"   ? complex_product_rules()
                      : def.name == "Div" ? complex_quotient_rules()
                                          : std::vector<opdef::ImportRule>();
    def.tensorflow.insert(def.tensorflow.end(), more.begin(), more.end());
    registry.add(std::move(def));
  }
  opdef::OpDef def = elementwise_def(
      "BitShift", "X shifted by Y bits; shifting a negative X right keeps its sign",
      {operand("X", kInts, "bits"), operand("Y", kInts, "amount")}, operand("Z", kInts, "result"),
      shift_expression);
  def.attrs = {opdef::required_attr("direction", opdef::AttrKind::kString, "'LEFT' or 'RIGHT'")};
  def.infer = infer_shift;
  def.tensorflow = {tensorflow("LeftShift", import_shift), tensorflow("RightShift", import_shift)};
  registry.add(std::move(def));

  def = elementwise_def("Mod", "remainder of A / B, with B's sign, or A's when fmod is 1",
                        {operand("A", kNumbers, "dividend"), operand("B", kNumbers, "divisor")},
                        operand("C", kNumbers, "result"), mod_expression);
  def.attrs = {opdef::int_attr("fmod", 0, "1: the sign follows A")};
  def.infer = infer_mod;
  def.tensorflow = {tensorflow("FloorMod"), tensorflow("Mod", import_truncated_mod),
                    tensorflow("TruncateMod", import_truncated_mod)};
  registry.add(std::move(def));

  TypeSet bases = kFloats | opdef::kIndices;
  def = elementwise_def("Pow", "X to the power of Y, in X's type",
                        {operand("X", bases, "base"), operand("Y", kNumbers, "exponent", "T1")},
                        operand("Z", bases, "result"), pow_expression);
  def.tensorflow = {tensorflow("Pow")};
  registry.add(std::move(def));
}

}  // namespace planish::ops
