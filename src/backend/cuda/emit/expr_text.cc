#include "backend/cuda/emit/expr_text.h"

#include <cstdio>

#include "base/text.h"

namespace planish::cuda {
namespace {

using ir::DataType;
using kernel::Expr;
using kernel::ExprNode;
using kernel::ScalarOp;

struct TypeNames {
  DataType dtype;
  std::string_view in_register, in_memory, wide;  // wide: unsigned type that arithmetic wraps in
};
constexpr TypeNames kTypes[] = {
    {DataType::kF32, "float", "float", ""},   {DataType::kF16, "float", "u16", ""},
    {DataType::kBF16, "float", "u16", ""},    {DataType::kF64, "double", "double", ""},
    {DataType::kI8, "i8", "i8", "u32"},       {DataType::kU8, "u8", "u8", "u32"},
    {DataType::kI16, "i16", "i16", "u32"},    {DataType::kU16, "u16", "u16", "u32"},
    {DataType::kI32, "int", "int", "u32"},    {DataType::kU32, "u32", "u32", "u32"},
    {DataType::kI64, "i64", "i64", "u64"},    {DataType::kU64, "u64", "u64", "u64"},
    {DataType::kBool, "bool", "u8", "u32"},
};
const TypeNames* names_of(DataType dtype) {
  for (const TypeNames& names : kTypes)
    if (names.dtype == dtype) return &names;
  return nullptr;
}

// C functions of float and double of one argument, by operation; "" where there is none.
struct FloatFunction {
  ScalarOp op;
  std::string_view single, wide;
};
constexpr FloatFunction kFunctions[] = {
    {ScalarOp::kAbs, "fabsf", "fabs"},      {ScalarOp::kCeil, "ceilf", "ceil"},
    {ScalarOp::kFloor, "floorf", "floor"},  {ScalarOp::kRound, "rintf", "rint"},
    {ScalarOp::kTrunc, "truncf", "trunc"},  {ScalarOp::kSqrt, "sqrtf", "sqrt"},
    {ScalarOp::kRsqrt, "rsqrtf", "rsqrt"},  {ScalarOp::kExp, "expf", "exp"},
    {ScalarOp::kExpm1, "expm1f", "expm1"},  {ScalarOp::kLog, "logf", "log"},
    {ScalarOp::kLog1p, "log1pf", "log1p"},  {ScalarOp::kSin, "sinf", "sin"},
    {ScalarOp::kCos, "cosf", "cos"},        {ScalarOp::kTan, "tanf", "tan"},
    {ScalarOp::kAsin, "asinf", "asin"},     {ScalarOp::kAcos, "acosf", "acos"},
    {ScalarOp::kAtan, "atanf", "atan"},     {ScalarOp::kSinh, "sinhf", "sinh"},
    {ScalarOp::kCosh, "coshf", "cosh"},     {ScalarOp::kTanh, "tanhf", "tanh"},
    {ScalarOp::kAsinh, "asinhf", "asinh"},  {ScalarOp::kAcosh, "acoshf", "acosh"},
    {ScalarOp::kAtanh, "atanhf", "atanh"},  {ScalarOp::kErf, "erff", "erf"},
};

std::string double_literal(double value) {
  char text[48];
  std::snprintf(text, sizeof(text), "__longlong_as_double(0x%llxll)",
                __builtin_bit_cast(unsigned long long, value));
  return text;
}

std::string literal(const ExprNode& n) {
  if (n.dtype == DataType::kF64) return double_literal(n.imm);
  if (ir::is_float(n.dtype)) return float_literal(float(n.imm));
  if (n.dtype == DataType::kBool) return n.imm_int ? "true" : "false";
  return cat("(", register_type(n.dtype), ")", n.imm_int == INT64_MIN
                                                   ? std::string("0x8000000000000000ull")
                                                   : cat(n.imm_int, "ll"));
}

// "" when the operation has no float form.
std::string float_text(const ExprNode& n, const std::string& a, const std::string& b,
                       const std::string& c) {
  const bool wide = n.dtype == DataType::kF64;
  const std::string one = wide ? "1.0" : "1.0f", zero = wide ? "0.0" : "0.0f";
  const auto call = [&](std::string_view single, std::string_view both) {
    return cat(wide ? both : single, "(", a, b.empty() ? "" : cat(", ", b), ")");
  };
  for (const FloatFunction& f : kFunctions)
    if (f.op == n.op) return call(f.single, f.wide);
  switch (n.op) {
    case ScalarOp::kNeg: return cat("-", a);
    case ScalarOp::kSign:
      return cat(a, " != ", a, " ? ", a, " : ", a, " > ", zero, " ? ", one, " : ", a, " < ", zero,
                 " ? -", one, " : ", zero);
    case ScalarOp::kReciprocal: return cat(one, " / ", a);
    case ScalarOp::kSigmoid:
      return cat(one, " / (", one, " + ", wide ? "exp" : "expf", "(-", a, "))");
    case ScalarOp::kSoftplus:
      return cat("max_nan(", a, ", ", zero, ") + ", wide ? "log1p(exp(-fabs(" : "log1pf(expf(-fabsf(",
                 a, ")))");
    case ScalarOp::kAdd: return cat(a, " + ", b);
    case ScalarOp::kSub: return cat(a, " - ", b);
    case ScalarOp::kMul: return cat(a, " * ", b);
    case ScalarOp::kDiv: return cat(a, " / ", b);
    case ScalarOp::kPow: return call("powf", "pow");
    case ScalarOp::kMin: return cat("min_nan(", a, ", ", b, ")");
    case ScalarOp::kMax: return cat("max_nan(", a, ", ", b, ")");
    case ScalarOp::kMod: return cat("floor_mod(", a, ", ", b, ")");
    case ScalarOp::kFmod: return call("fmodf", "fmod");
    case ScalarOp::kAtan2: return call("atan2f", "atan2");
    case ScalarOp::kFma: return cat(wide ? "fma(" : "fmaf(", a, ", ", b, ", ", c, ")");
    default: return "";
  }
}

std::string integer_text(const ExprNode& n, const std::string& a, const std::string& b,
                         const std::string& c) {
  const bool is_unsigned = !ir::is_signed_int(n.dtype);
  const std::string_view wide = names_of(n.dtype)->wide;
  const std::string_view signed_wide = wide == "u64" ? "i64" : "int";
  const auto arithmetic = [&](std::string_view op) {
    return cat("(", wide, ")", a, " ", op, " (", wide, ")", b);
  };
  const auto negated = [&] { return cat("0 - (", wide, ")", a); };
  switch (n.op) {
    case ScalarOp::kNeg: return negated();
    case ScalarOp::kAbs: return is_unsigned ? a : cat(a, " < 0 ? (", wide, ")", negated(), " : (", wide, ")", a);
    case ScalarOp::kSign:
      return is_unsigned ? cat(a, " != 0") : cat("(", a, " > 0) - (", a, " < 0)");
    case ScalarOp::kCeil: case ScalarOp::kFloor: case ScalarOp::kRound: case ScalarOp::kTrunc:
      return a;
    case ScalarOp::kBitNot: return cat("~", a);
    case ScalarOp::kAdd: return arithmetic("+");
    case ScalarOp::kSub: return arithmetic("-");
    case ScalarOp::kMul: return arithmetic("*");
    case ScalarOp::kDiv:
      if (is_unsigned) return cat(b, " == 0 ? 0 : ", a, " / ", b);
      return cat(b, " == 0 ? 0 : ", b, " == -1 ? (", signed_wide, ")(", negated(), ") : ", a, " / ", b);
    case ScalarOp::kMod:
    case ScalarOp::kFmod: {
      if (is_unsigned) return cat(b, " == 0 ? 0 : ", a, " % ", b);
      const std::string rest = cat("(", a, " % ", b, ")");
      const std::string value =
          n.op == ScalarOp::kFmod
              ? rest
              : cat("(", rest, " != 0 && (", rest, " < 0) != (", b, " < 0) ? ", rest, " + ", b, " : ",
                    rest, ")");
      return cat(b, " == 0 || ", b, " == -1 ? 0 : ", value);
    }
    case ScalarOp::kPow: return cat("power_i64(", a, ", ", b, ")");
    case ScalarOp::kMin: return cat(a, " < ", b, " ? ", a, " : ", b);
    case ScalarOp::kMax: return cat(a, " > ", b, " ? ", a, " : ", b);
    case ScalarOp::kBitAnd: return cat(a, " & ", b);
    case ScalarOp::kBitOr: return cat(a, " | ", b);
    case ScalarOp::kBitXor: return cat(a, " ^ ", b);
    case ScalarOp::kShiftLeft: return cat("(u64)(i64)", b, " > 63 ? 0 : (u64)", a, " << (u64)(i64)", b);
    case ScalarOp::kShiftRight:
      if (is_unsigned) return cat("(u64)", b, " > 63 ? 0 : (u64)", a, " >> (u64)", b);
      return cat("(i64)", a, " >> ((u64)(i64)", b, " > 63 ? 63 : (i64)", b, ")");
    case ScalarOp::kFma: return cat("(", arithmetic("*"), ") + (", wide, ")", c);
    default: return "";
  }
}

// Operations that yield bool; `operand`: type of what is compared. Integers are never infinite.
std::string bool_text(const ExprNode& n, DataType operand, const std::string& a,
                      const std::string& b) {
  switch (n.op) {
    case ScalarOp::kEqual: return cat(a, " == ", b);
    case ScalarOp::kLess: return cat(a, " < ", b);
    case ScalarOp::kLessEqual: return cat(a, " <= ", b);
    case ScalarOp::kIsNan: return cat(a, " != ", a);
    case ScalarOp::kIsInf: return ir::is_float(operand) ? cat("isinf(", a, ")") : "false";
    case ScalarOp::kNot: return cat("!", a);
    case ScalarOp::kAnd: case ScalarOp::kBitAnd: case ScalarOp::kMul: case ScalarOp::kMin:
      return cat(a, " && ", b);
    case ScalarOp::kOr: case ScalarOp::kBitOr: case ScalarOp::kAdd: case ScalarOp::kMax:
      return cat(a, " || ", b);
    case ScalarOp::kXor: case ScalarOp::kBitXor: return cat(a, " != ", b);
    default: return "";
  }
}

std::string cast_text(DataType from, DataType to, const std::string& a) {
  if (to == DataType::kBool) return cat(a, " != 0");
  if (ir::is_float(to)) {
    const std::string value = cat("(", register_type(to), ")", a);
    if (to == DataType::kF16) return cat("f16_to_f32(f32_to_f16(", value, "))");
    if (to == DataType::kBF16) return cat("bf16_to_f32(f32_to_bf16(", value, "))");
    return value;
  }
  return ir::is_float(from) ? cat("trunc_i64(", a, ")") : a;
}

// Nodes that a cast to an integer reads: a result a rounding below a whole number would lose one.
std::vector<bool> truncated_nodes(const Expr& expr) {
  std::vector<bool> out(expr.nodes.size());
  for (const ExprNode& n : expr.nodes)
    if (n.op == ScalarOp::kCast && !ir::is_float(n.dtype)) out[size_t(n.a)] = true;
  return out;
}

Status refuse(const ExprNode& n) {
  return unsupported(cat("the expression's ", kernel::info(n.op).name, " of ", ir::name_of(n.dtype),
                         " has no CUDA text"));
}

Result<std::string> node_text(const Expr& expr, const ExprNode& n, std::span<const std::string> args,
                              const std::vector<std::string>& values, bool truncated) {
  if (!names_of(n.dtype)) return refuse(n);
  if (n.op == ScalarOp::kArg) return args[size_t(n.a)];
  if (n.op == ScalarOp::kImm) return literal(n);
  const auto value = [&](int32_t i) { return i < 0 ? std::string() : values[size_t(i)]; };
  const std::string a = value(n.a), b = value(n.b), c = value(n.c);
  if (n.op == ScalarOp::kSelect) return cat(a, " ? ", b, " : ", c);
  std::string text;
  if (n.op == ScalarOp::kCast) text = cast_text(expr.nodes[size_t(n.a)].dtype, n.dtype, a);
  else if (n.dtype == DataType::kBool) text = bool_text(n, expr.nodes[size_t(n.a)].dtype, a, b);
  else if (truncated && n.op == ScalarOp::kPow && ir::is_float(n.dtype))
    text = cat("(float)pow((double)", a, ", (double)", b, ")");
  else text = ir::is_float(n.dtype) ? float_text(n, a, b, c) : integer_text(n, a, b, c);
  if (text.empty()) return refuse(n);
  return text;
}

}  // namespace

std::string float_literal(float value) {
  char text[32];
  std::snprintf(text, sizeof(text), "__uint_as_float(0x%08xu)", __builtin_bit_cast(unsigned, value));
  return text;
}

bool is_loadable(DataType dtype) { return names_of(dtype) != nullptr; }
std::string_view register_type(DataType dtype) { return names_of(dtype)->in_register; }
std::string_view memory_type(DataType dtype) { return names_of(dtype)->in_memory; }

std::string load_text(DataType dtype, std::string_view value) {
  if (dtype == DataType::kF16) return cat("f16_to_f32(", value, ")");
  if (dtype == DataType::kBF16) return cat("bf16_to_f32(", value, ")");
  if (dtype == DataType::kBool) return cat("((", value, ") != 0)");
  return std::string(value);
}
std::string store_text(DataType dtype, std::string_view value) {
  if (dtype == DataType::kF16) return cat("f32_to_f16(", value, ")");
  if (dtype == DataType::kBF16) return cat("f32_to_bf16(", value, ")");
  return cat("(", memory_type(dtype), ")(", value, ")");
}

Result<ExprText> print_expr(const Expr& expr, std::span<const std::string> args,
                            std::string_view prefix) {
  ExprText out;
  std::vector<std::string> values;
  const std::vector<bool> truncated = truncated_nodes(expr);
  for (size_t i = 0; i < expr.nodes.size(); ++i) {
    const ExprNode& n = expr.nodes[i];
    PLANISH_ASSIGN_OR_RETURN(std::string text, node_text(expr, n, args, values, truncated[i]));
    std::string name = cat(prefix, i);
    const std::string_view type = register_type(n.dtype);
    out.body += cat("const ", type, " ", name, " = (", type, ")(", text, ");\n");
    values.push_back(std::move(name));
  }
  for (int32_t output : expr.outputs) out.outputs.push_back(values[size_t(output)]);
  return out;
}

Status can_print(const Expr& expr) {
  const std::vector<std::string> args(size_t(expr.arg_count), "x");
  return print_expr(expr, args, "v").status();
}

}  // namespace planish::cuda
