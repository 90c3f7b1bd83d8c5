// Activations: elementwise functions of several primitives, most with attributes. Each is written
// as an expression, which is also its reference. Comparisons are ordered so that NaN passes through.
#include <cmath>

#include "base/text.h"
#include "ops/composer.h"
#include "ops/elementwise.h"

namespace planish::ops {
namespace {

using opdef::AttrSpec;
using opdef::float_attr;
using opdef::kFloats;
using opdef::kNumbers;
using opdef::kSignedInts;
using opdef::TypeSet;

// x < 0 ? negative : x
int when_negative(ExpressionContext& ctx, int x, int negative) {
  ExprBuilder& b = ctx.builder();
  return b.select(b.less(x, imm_like(ctx, 0, x)), negative, x);
}

Status relu(ExpressionContext& ctx) {
  int x = ctx.arg(0);
  return finish(ctx, ctx.builder().max(x, imm_like(ctx, 0, x)));
}

Status leaky_relu(ExpressionContext& ctx) {
  int x = wide_arg(ctx, 0);
  int scaled = ctx.builder().mul(x, imm_like(ctx, ctx.attr_float("alpha"), x));
  return finish(ctx, when_negative(ctx, x, scaled));
}

Status prelu(ExpressionContext& ctx) {
  int x = wide_arg(ctx, 0);
  return finish(ctx, when_negative(ctx, x, ctx.builder().mul(wide_arg(ctx, 1), x)));
}

Status elu(ExpressionContext& ctx) {
  ExprBuilder& b = ctx.builder();
  int x = wide_arg(ctx, 0);
  int curve = b.mul(imm_like(ctx, ctx.attr_float("alpha"), x), b.unary(ScalarOp::kExpm1, x));
  return finish(ctx, when_negative(ctx, x, curve));
}

Status selu(ExpressionContext& ctx) {
  ExprBuilder& b = ctx.builder();
  int x = wide_arg(ctx, 0);
  int curve = b.mul(imm_like(ctx, ctx.attr_float("alpha"), x), b.unary(ScalarOp::kExpm1, x));
  return finish(ctx, b.mul(imm_like(ctx, ctx.attr_float("gamma"), x), when_negative(ctx, x, curve)));
}

Status celu(ExpressionContext& ctx) {
  ExprBuilder& b = ctx.builder();
  int x = wide_arg(ctx, 0);
  double alpha = ctx.attr_float("alpha");
  int exponent = b.div(x, imm_like(ctx, alpha, x));
  int curve = b.mul(imm_like(ctx, alpha, x), b.unary(ScalarOp::kExpm1, exponent));
  int zero = imm_like(ctx, 0, x);
  return finish(ctx, b.add(b.max(x, zero), b.min(curve, zero)));
}

// Zero below the threshold alpha.
Status thresholded_relu(ExpressionContext& ctx) {
  ExprBuilder& b = ctx.builder();
  int x = wide_arg(ctx, 0);
  int above = b.less(imm_like(ctx, ctx.attr_float("alpha"), x), x);
  return finish(ctx, b.select(above, x, imm_like(ctx, 0, x)));
}

int clamp_to_unit(ExpressionContext& ctx, int x) {
  ExprBuilder& b = ctx.builder();
  return b.max(b.min(x, imm_like(ctx, 1, x)), imm_like(ctx, 0, x));
}

Status hard_sigmoid(ExpressionContext& ctx) {
  ExprBuilder& b = ctx.builder();
  int x = wide_arg(ctx, 0);
  int line = b.add(b.mul(x, imm_like(ctx, ctx.attr_float("alpha"), x)),
                   imm_like(ctx, ctx.attr_float("beta"), x));
  return finish(ctx, clamp_to_unit(ctx, line));
}

Status hard_swish(ExpressionContext& ctx) {
  ExprBuilder& b = ctx.builder();
  int x = wide_arg(ctx, 0);
  int line = b.add(b.mul(x, imm_like(ctx, 1.0 / 6, x)), imm_like(ctx, 0.5, x));
  return finish(ctx, b.mul(x, clamp_to_unit(ctx, line)));
}

Status mish(ExpressionContext& ctx) {
  ExprBuilder& b = ctx.builder();
  int x = wide_arg(ctx, 0);
  return finish(ctx,
                b.mul(x, b.unary(ScalarOp::kTanh, b.unary(ScalarOp::kSoftplus, x))));
}

Status softsign(ExpressionContext& ctx) {
  ExprBuilder& b = ctx.builder();
  int x = wide_arg(ctx, 0);
  return finish(ctx, b.div(x, b.add(imm_like(ctx, 1, x), b.unary(ScalarOp::kAbs, x))));
}

// Integers compute in f64: the attributes are real numbers.
Status shrink(ExpressionContext& ctx) {
  ExprBuilder& b = ctx.builder();
  int x = wide_arg(ctx, 0);
  if (!ir::is_float(b.dtype(x))) x = b.cast(x, DataType::kF64);
  double bias = ctx.attr_float("bias"), lambda = ctx.attr_float("lambd");
  int zero = imm_like(ctx, 0, x);
  int upper = b.select(b.less(imm_like(ctx, lambda, x), x), b.sub(x, imm_like(ctx, bias, x)), zero);
  return finish(ctx, b.select(b.less(x, imm_like(ctx, -lambda, x)),
                              b.add(x, imm_like(ctx, bias, x)), upper));
}

int swish_of(ExpressionContext& ctx, int x) {
  ExprBuilder& b = ctx.builder();
  double alpha = ctx.attr_float("alpha");
  int slope = alpha == 1 ? x : b.mul(x, imm_like(ctx, alpha, x));
  return b.mul(x, b.unary(ScalarOp::kSigmoid, slope));
}

Status swish(ExpressionContext& ctx) { return finish(ctx, swish_of(ctx, wide_arg(ctx, 0))); }

Status swiglu(ExpressionContext& ctx) {
  return finish(ctx, ctx.builder().mul(swish_of(ctx, wide_arg(ctx, 0)), wide_arg(ctx, 1)));
}

// x times the normal distribution function, exact (erf) or by the usual tanh approximation.
Status gelu(ExpressionContext& ctx) {
  ExprBuilder& b = ctx.builder();
  int x = wide_arg(ctx, 0);
  int bell;
  if (ctx.attr_string("approximate") == "none") {
    bell = b.unary(ScalarOp::kErf, b.mul(x, imm_like(ctx, std::sqrt(0.5), x)));
  } else {
    int cube = b.mul(b.mul(x, x), x);
    int sum = b.add(x, b.mul(imm_like(ctx, 0.044715, x), cube));
    bell = b.unary(ScalarOp::kTanh, b.mul(imm_like(ctx, std::sqrt(2 / M_PI), x), sum));
  }
  int half = b.mul(imm_like(ctx, 0.5, x), x);
  return finish(ctx, b.mul(half, b.add(imm_like(ctx, 1, x), bell)));
}

Status infer_celu(InferContext& ctx) {
  double alpha = ctx.attr_float("alpha");
  if (!(alpha > 0 || alpha < 0)) return bad_attr("alpha", cat(alpha), "a value other than 0");
  return infer_elementwise(ctx);
}

Status infer_gelu(InferContext& ctx) {
  const std::string& approximate = ctx.attr_string("approximate");
  if (approximate != "none" && approximate != "tanh")
    return bad_attr("approximate", cat("'", approximate, "'"), "'none' or 'tanh'");
  return infer_elementwise(ctx);
}

Status infer_prelu(InferContext& ctx) {
  PLANISH_ASSIGN_OR_RETURN(Shape shape, broadcast(ctx.shape(0), ctx.shape(1)));
  if (shape.size() != ctx.shape(0).size())
    return check_rank(ctx, 1, 0, ctx.rank(0));
  for (size_t i = 0; i < shape.size(); ++i)
    PLANISH_RETURN_IF_ERROR(check_same_dim("input 1 (slope): broadcast dim of X", shape[i],
                                           ctx.shape(0)[i]));
  ctx.set_output(0, ctx.dtype(0), ctx.shape(0));
  return ok_status();
}

Status infer_same_shapes(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 1, ctx.rank(0), ctx.rank(0)));
  for (int i = 0; i < ctx.rank(0); ++i)
    PLANISH_RETURN_IF_ERROR(check_same_dim(cat("input 1 (B): dim ", i),
                                           ctx.shape(1)[size_t(i)], ctx.shape(0)[size_t(i)]));
  return infer_elementwise(ctx);
}

struct Row {
  const char* name;
  TypeSet types;
  Status (*expression)(ExpressionContext&);
  std::vector<AttrSpec> attrs;
  const char* doc;
  Status (*infer)(InferContext&) = infer_elementwise;
};

std::vector<Row> rows() {
  // ONNX's defaults are floats, and their exact values are kept.
  AttrSpec alpha_1 = float_attr("alpha", 1, "coefficient");
  return {
      {"Celu", kFloats, celu, {alpha_1}, "max(0, x) + min(0, alpha (e^(x / alpha) - 1))",
       infer_celu},
      {"Elu", kFloats, elu, {alpha_1}, "x where x >= 0, else alpha (e^x - 1)"},
      {"Gelu", kFloats, gelu,
       {opdef::string_attr("approximate", "none", "'none' (erf) or 'tanh'")},
       "x times the normal distribution function of x", infer_gelu},
      {"HardSigmoid", kFloats, hard_sigmoid,
       {float_attr("alpha", double(0.2f), "slope"), float_attr("beta", 0.5, "offset")},
       "alpha x + beta within 0 and 1"},
      {"HardSwish", kFloats, hard_swish, {}, "x times (x / 6 + 1 / 2 within 0 and 1)"},
      {"LeakyRelu", kFloats, leaky_relu,
       {float_attr("alpha", double(0.01f), "slope below zero")},
       "x where x >= 0, else alpha x"},
      {"Mish", kFloats, mish, {}, "x tanh(softplus(x))"},
      {"Relu", kFloats | kSignedInts, relu, {}, "max(x, 0)"},
      {"Selu", kFloats, selu,
       {float_attr("alpha", double(1.67326319217681884765625f), "coefficient"),
        float_attr("gamma", double(1.05070102214813232421875f), "factor of everything")},
       "gamma (x where x >= 0, else alpha (e^x - 1))"},
      {"Shrink", kNumbers, shrink,
       {float_attr("bias", 0, "moved towards zero by this"),
        float_attr("lambd", 0.5, "threshold")},
       "x + bias below -lambd, x - bias above lambd, else 0"},
      {"Softsign", kFloats, softsign, {}, "x / (1 + |x|)"},
      {"Swish", kFloats, swish, {alpha_1}, "x sigmoid(alpha x)"},
      {"ThresholdedRelu", kFloats, thresholded_relu, {alpha_1}, "x where x > alpha, else 0"},
  };
}

Status import_leaky_relu(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  return c.finish({c.op("LeakyRelu", {c.in(0)}, {{"alpha", c.attr_float("alpha", double(0.2f))}})});
}

}  // namespace

void register_activations(opdef::OpRegistry& registry) {
  for (Row& row : rows()) {
    opdef::OpDef def =
        elementwise_def(row.name, row.doc, {operand("X", row.types, "operand")},
                        operand("Y", row.types, "result"), row.expression);
    def.attrs = std::move(row.attrs);
    def.infer = row.infer;
    if (def.name == "Elu" || def.name == "Relu" || def.name == "Selu" || def.name == "Softsign")
      def.tensorflow = {tensorflow(def.name)};
    if (def.name == "LeakyRelu") def.tensorflow = {tensorflow("LeakyRelu", import_leaky_relu)};
    registry.add(std::move(def));
  }
  TypeSet prelu_types = kFloats | TypeSet{DataType::kI32, DataType::kI64, DataType::kU32,
                                          DataType::kU64};
  opdef::OpDef def = elementwise_def(
      "PRelu", "x where x >= 0, else slope x; the slope broadcasts to X",
      {operand("X", prelu_types, "operand"), operand("slope", prelu_types, "slope below zero")},
      operand("Y", prelu_types, "result"), prelu);
  def.infer = infer_prelu;
  registry.add(std::move(def));

  def = elementwise_def("SwiGLU", "A sigmoid(alpha A) B, for A and B of one shape",
                        {operand("A", kFloats, "gate"), operand("B", kFloats, "value")},
                        operand("Y", kFloats, "result"), swiglu);
  def.attrs = {float_attr("alpha", 1, "coefficient inside the sigmoid")};
  def.infer = infer_same_shapes;
  registry.add(std::move(def));
}

}  // namespace planish::ops
