// Unary operators that are one primitive each: a table.
#include "ops/composer.h"
#include "ops/elementwise.h"
#include "ops/known_elements.h"
#include "ops/spectrum.h"

namespace planish::ops {
namespace {

using opdef::kFloats;
using opdef::kInts;
using opdef::kNumbers;
using opdef::kSignedInts;
using opdef::TypeSet;

Status infer_neg(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(infer_elementwise(ctx));
  if (!ir::is_float(ctx.dtype(0))) {
    map_content(ctx, [](std::span<const Dim> x) { return Dim(0) - x[0]; });
  }
  return ok_status();
}

struct UnaryRow {
  const char* name;
  TypeSet types;
  Status (*expression)(ExpressionContext&);
  const char* doc;
  const char* tensorflow;  // names of TensorFlow's operators that mean the same
  Status (*infer)(InferContext&) = infer_elementwise;
};

constexpr UnaryRow kRows[] = {
    {"Abs", kNumbers, unary_expression<ScalarOp::kAbs>, "|x|", "Abs"},
    {"Acos", kFloats, unary_expression<ScalarOp::kAcos>, "arc cosine", "Acos"},
    {"Acosh", kFloats, unary_expression<ScalarOp::kAcosh>, "inverse hyperbolic cosine", "Acosh"},
    {"Asin", kFloats, unary_expression<ScalarOp::kAsin>, "arc sine", "Asin"},
    {"Asinh", kFloats, unary_expression<ScalarOp::kAsinh>, "inverse hyperbolic sine", "Asinh"},
    {"Atan", kFloats, unary_expression<ScalarOp::kAtan>, "arc tangent", "Atan"},
    {"Atanh", kFloats, unary_expression<ScalarOp::kAtanh>, "inverse hyperbolic tangent", "Atanh"},
    {"BitwiseNot", kInts, unary_expression<ScalarOp::kBitNot>, "every bit inverted", "Invert"},
    {"Ceil", kFloats, unary_expression<ScalarOp::kCeil>, "least integer not below x", "Ceil"},
    {"Cos", kFloats, unary_expression<ScalarOp::kCos>, "cosine", "Cos"},
    {"Cosh", kFloats, unary_expression<ScalarOp::kCosh>, "hyperbolic cosine", "Cosh"},
    {"Erf", kFloats, unary_expression<ScalarOp::kErf>, "error function", "Erf"},
    {"Exp", kFloats, unary_expression<ScalarOp::kExp>, "e^x", "Exp"},
    {"Floor", kFloats, unary_expression<ScalarOp::kFloor>, "greatest integer not above x", "Floor"},
    {"Log", kFloats, unary_expression<ScalarOp::kLog>, "natural logarithm", "Log"},
    {"Neg", kFloats | kSignedInts, unary_expression<ScalarOp::kNeg>, "-x", "Neg",
     infer_neg},
    {"Not", opdef::kBools, unary_expression<ScalarOp::kNot>, "logical negation", "LogicalNot"},
    {"Reciprocal", kFloats, unary_expression<ScalarOp::kReciprocal>, "1 / x", "Reciprocal,Inv"},
    {"Round", kFloats, unary_expression<ScalarOp::kRound>, "nearest integer, halves to even",
     "Round,Rint"},
    {"Sigmoid", kFloats, unary_expression<ScalarOp::kSigmoid>, "1 / (1 + e^-x)", "Sigmoid"},
    {"Sign", kNumbers, unary_expression<ScalarOp::kSign>, "-1, 0 or 1", "Sign"},
    {"Sin", kFloats, unary_expression<ScalarOp::kSin>, "sine", "Sin"},
    {"Sinh", kFloats, unary_expression<ScalarOp::kSinh>, "hyperbolic sine", "Sinh"},
    {"Softplus", kFloats, unary_expression<ScalarOp::kSoftplus>, "ln(1 + e^x)", "Softplus"},
    {"Sqrt", kFloats, unary_expression<ScalarOp::kSqrt>, "square root", "Sqrt"},
    {"Tan", kFloats, unary_expression<ScalarOp::kTan>, "tangent", "Tan"},
    {"Tanh", kFloats, unary_expression<ScalarOp::kTanh>, "hyperbolic tangent", "Tanh"},
};

Status import_rsqrt(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  return c.finish({c.op("Reciprocal", {c.op("Sqrt", {c.in(0)})})});
}
Status import_expm1(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value* x = c.in(0);
  ir::Value* above = c.sub(c.op("Exp", {x}), c.scalar_like(1, x));
  return c.finish({c.where(c.op("Less", {x, c.scalar_like(0, x)}), c.op("Elu", {x}), above)});
}
Status import_log1p(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value* x = c.in(0);
  return c.finish({c.op("Log", {c.add(x, c.scalar_like(1, x))})});
}
Status import_erfc(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value* x = c.in(0);
  return c.finish({c.sub(c.scalar_like(1, x), c.op("Erf", {x}))});
}

// TensorFlow's operators that are a short formula, under the operator that does the work.
struct MoreRow {
  const char* op;
  const char* tensorflow;
  opdef::Importer import;
};
constexpr MoreRow kMoreRows[] = {{"Erf", "Erfc", import_erfc},
                                 {"Exp", "Expm1", import_expm1},
                                 {"Log", "Log1p", import_log1p},
                                 {"Sqrt", "Rsqrt", import_rsqrt}};

}  // namespace

void register_unary(opdef::OpRegistry& registry) {
  for (const UnaryRow& row : kRows) {
    opdef::OpDef def = elementwise_def(row.name, row.doc, {operand("X", row.types, "operand")},
                                       operand("Y", row.types, "result"), row.expression);
    def.infer = row.infer;
    def.tensorflow = tensorflow_names(row.tensorflow);
    for (const MoreRow& more : kMoreRows)
      if (def.name == more.op) def.tensorflow.push_back(tensorflow(more.tensorflow, more.import));
    const auto more = def.name == "Sqrt"   ? complex_magnitude_rules()
                      : def.name == "Atan" ? complex_angle_rules()
                      : def.name == "Exp"  ? complex_exponential_rules()
                                           : std::vector<opdef::ImportRule>();
    def.tensorflow.insert(def.tensorflow.end(), more.begin(), more.end());
    registry.add(std::move(def));
  }
}

}  // namespace planish::ops
