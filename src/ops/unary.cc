// Unary operators that are one primitive each: a table.
#include "ops/elementwise.h"
#include "ops/known_elements.h"

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
  Status (*infer)(InferContext&) = infer_elementwise;
};

constexpr UnaryRow kRows[] = {
    {"Abs", kNumbers, unary_expression<ScalarOp::kAbs>, "|x|"},
    {"Acos", kFloats, unary_expression<ScalarOp::kAcos>, "arc cosine"},
    {"Acosh", kFloats, unary_expression<ScalarOp::kAcosh>, "inverse hyperbolic cosine"},
    {"Asin", kFloats, unary_expression<ScalarOp::kAsin>, "arc sine"},
    {"Asinh", kFloats, unary_expression<ScalarOp::kAsinh>, "inverse hyperbolic sine"},
    {"Atan", kFloats, unary_expression<ScalarOp::kAtan>, "arc tangent"},
    {"Atanh", kFloats, unary_expression<ScalarOp::kAtanh>, "inverse hyperbolic tangent"},
    {"BitwiseNot", kInts, unary_expression<ScalarOp::kBitNot>, "every bit inverted"},
    {"Ceil", kFloats, unary_expression<ScalarOp::kCeil>, "least integer not below x"},
    {"Cos", kFloats, unary_expression<ScalarOp::kCos>, "cosine"},
    {"Cosh", kFloats, unary_expression<ScalarOp::kCosh>, "hyperbolic cosine"},
    {"Erf", kFloats, unary_expression<ScalarOp::kErf>, "error function"},
    {"Exp", kFloats, unary_expression<ScalarOp::kExp>, "e^x"},
    {"Floor", kFloats, unary_expression<ScalarOp::kFloor>, "greatest integer not above x"},
    {"Log", kFloats, unary_expression<ScalarOp::kLog>, "natural logarithm"},
    {"Neg", kFloats | kSignedInts, unary_expression<ScalarOp::kNeg>, "-x",
     infer_neg},
    {"Not", opdef::kBools, unary_expression<ScalarOp::kNot>, "logical negation"},
    {"Reciprocal", kFloats, unary_expression<ScalarOp::kReciprocal>, "1 / x"},
    {"Round", kFloats, unary_expression<ScalarOp::kRound>, "nearest integer, halves to even"},
    {"Sigmoid", kFloats, unary_expression<ScalarOp::kSigmoid>, "1 / (1 + e^-x)"},
    {"Sign", kNumbers, unary_expression<ScalarOp::kSign>, "-1, 0 or 1"},
    {"Sin", kFloats, unary_expression<ScalarOp::kSin>, "sine"},
    {"Sinh", kFloats, unary_expression<ScalarOp::kSinh>, "hyperbolic sine"},
    {"Softplus", kFloats, unary_expression<ScalarOp::kSoftplus>, "ln(1 + e^x)"},
    {"Sqrt", kFloats, unary_expression<ScalarOp::kSqrt>, "square root"},
    {"Tan", kFloats, unary_expression<ScalarOp::kTan>, "tangent"},
    {"Tanh", kFloats, unary_expression<ScalarOp::kTanh>, "hyperbolic tangent"},
};

}  // namespace

void register_unary(opdef::OpRegistry& registry) {
  for (const UnaryRow& row : kRows) {
    opdef::OpDef def = elementwise_def(row.name, row.doc, {operand("X", row.types, "operand")},
                                       operand("Y", row.types, "result"), row.expression);
    def.infer = row.infer;
    registry.add(std::move(def));
  }
}

}  // namespace planish::ops
