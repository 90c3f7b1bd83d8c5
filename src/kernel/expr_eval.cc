// The definition of every ScalarOp: one element at a time, double or int64. Fast kernels are
// compared with this.
#include <cmath>
#include <limits>

#include "ir/tensor.h"
#include "kernel/expr.h"

namespace planish::kernel {
namespace {

int64_t wrap(DataType dtype, int64_t v) {
  switch (dtype) {
    case DataType::kI8: return int8_t(v);
    case DataType::kU8: return uint8_t(v);
    case DataType::kI16: return int16_t(v);
    case DataType::kU16: return uint16_t(v);
    case DataType::kI32: return int32_t(v);
    case DataType::kU32: return uint32_t(v);
    case DataType::kBool: return v != 0;
    case DataType::kI4: return int64_t(uint64_t(v) << 60) >> 60;
    case DataType::kU4: return v & 15;
    case DataType::kI2: return int64_t(uint64_t(v) << 62) >> 62;
    case DataType::kU2: return v & 3;
    default: return v;
  }
}

double nan() { return std::numeric_limits<double>::quiet_NaN(); }

double unary_f(ScalarOp op, double x) {
  switch (op) {
    case ScalarOp::kNeg: return -x;
    case ScalarOp::kAbs: return std::fabs(x);
    case ScalarOp::kSign: return std::isnan(x) ? x : double((x > 0) - (x < 0));
    case ScalarOp::kCeil: return std::ceil(x);
    case ScalarOp::kFloor: return std::floor(x);
    case ScalarOp::kRound: return std::nearbyint(x);
    case ScalarOp::kTrunc: return std::trunc(x);
    case ScalarOp::kSqrt: return std::sqrt(x);
    case ScalarOp::kRsqrt: return 1 / std::sqrt(x);
    case ScalarOp::kReciprocal: return 1 / x;
    case ScalarOp::kExp: return std::exp(x);
    case ScalarOp::kExpm1: return std::expm1(x);
    case ScalarOp::kLog: return std::log(x);
    case ScalarOp::kLog1p: return std::log1p(x);
    case ScalarOp::kSin: return std::sin(x);
    case ScalarOp::kCos: return std::cos(x);
    case ScalarOp::kTan: return std::tan(x);
    case ScalarOp::kAsin: return std::asin(x);
    case ScalarOp::kAcos: return std::acos(x);
    case ScalarOp::kAtan: return std::atan(x);
    case ScalarOp::kSinh: return std::sinh(x);
    case ScalarOp::kCosh: return std::cosh(x);
    case ScalarOp::kTanh: return std::tanh(x);
    case ScalarOp::kAsinh: return std::asinh(x);
    case ScalarOp::kAcosh: return std::acosh(x);
    case ScalarOp::kAtanh: return std::atanh(x);
    case ScalarOp::kErf: return std::erf(x);
    case ScalarOp::kSigmoid:
      return x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x));
    case ScalarOp::kSoftplus:
      return std::isnan(x) ? x : std::fmax(x, 0.0) + std::log1p(std::exp(-std::fabs(x)));
    default: return nan();
  }
}

double binary_f(ScalarOp op, double x, double y) {
  switch (op) {
    case ScalarOp::kAdd: return x + y;
    case ScalarOp::kSub: return x - y;
    case ScalarOp::kMul: return x * y;
    case ScalarOp::kDiv: return x / y;
    case ScalarOp::kPow: return std::pow(x, y);
    case ScalarOp::kMin: return std::isnan(x) || std::isnan(y) ? nan() : std::fmin(x, y);
    case ScalarOp::kMax: return std::isnan(x) || std::isnan(y) ? nan() : std::fmax(x, y);
    case ScalarOp::kMod: {
      const double r = std::fmod(x, y);
      return r != 0 && (r < 0) != (y < 0) ? r + y : r;
    }
    case ScalarOp::kFmod: return std::fmod(x, y);
    case ScalarOp::kAtan2: return std::atan2(x, y);
    default: return nan();
  }
}

int64_t power(int64_t base, int64_t exponent) {
  if (exponent < 0) return base == 1 ? 1 : base == -1 ? (exponent % 2 ? -1 : 1) : 0;
  uint64_t result = 1, factor = uint64_t(base);
  for (; exponent; exponent >>= 1, factor *= factor)
    if (exponent & 1) result *= factor;
  return int64_t(result);
}

int64_t unary_i(ScalarOp op, int64_t x, bool is_unsigned) {
  switch (op) {
    case ScalarOp::kNeg: return int64_t(0 - uint64_t(x));
    case ScalarOp::kAbs: return !is_unsigned && x < 0 ? int64_t(0 - uint64_t(x)) : x;
    case ScalarOp::kSign: return is_unsigned ? x != 0 : (x > 0) - (x < 0);
    case ScalarOp::kNot: return x == 0;
    case ScalarOp::kBitNot: return ~x;
    case ScalarOp::kCeil: case ScalarOp::kFloor: case ScalarOp::kRound: case ScalarOp::kTrunc:
      return x;
    default: {
      // What no int64 holds (the logarithm of 0) becomes the lowest, as the processor does it.
      const double y = unary_f(op, is_unsigned ? double(uint64_t(x)) : double(x));
      return y >= -0x1p63 && y < 0x1p63 ? int64_t(y) : std::numeric_limits<int64_t>::min();
    }
  }
}

// Division by zero yields 0: defined, and what no model should rely on.
int64_t binary_i(ScalarOp op, int64_t x, int64_t y, bool is_unsigned) {
  const uint64_t ux = uint64_t(x), uy = uint64_t(y);
  switch (op) {
    case ScalarOp::kAdd: return int64_t(ux + uy);
    case ScalarOp::kSub: return int64_t(ux - uy);
    case ScalarOp::kMul: return int64_t(ux * uy);
    case ScalarOp::kDiv:
      if (y == 0) return 0;
      if (is_unsigned) return int64_t(ux / uy);
      return y == -1 ? int64_t(0 - ux) : x / y;
    case ScalarOp::kPow: return power(x, y);
    case ScalarOp::kMin: return is_unsigned ? int64_t(ux < uy ? ux : uy) : (x < y ? x : y);
    case ScalarOp::kMax: return is_unsigned ? int64_t(ux > uy ? ux : uy) : (x > y ? x : y);
    case ScalarOp::kMod: case ScalarOp::kFmod: {
      if (y == 0) return 0;
      if (is_unsigned) return int64_t(ux % uy);
      if (y == -1) return 0;
      const int64_t r = x % y;
      return op == ScalarOp::kMod && r != 0 && (r < 0) != (y < 0) ? r + y : r;
    }
    case ScalarOp::kAnd: return x && y;
    case ScalarOp::kOr: return x || y;
    case ScalarOp::kXor: return (x != 0) != (y != 0);
    case ScalarOp::kBitAnd: return x & y;
    case ScalarOp::kBitOr: return x | y;
    case ScalarOp::kBitXor: return x ^ y;
    case ScalarOp::kShiftLeft: return uy > 63 ? 0 : int64_t(ux << uy);
    case ScalarOp::kShiftRight:
      if (is_unsigned) return uy > 63 ? 0 : int64_t(ux >> uy);
      return x >> (uy > 63 ? 63 : uy);
    default: return 0;
  }
}

ScalarValue cast(const ExprNode& node, DataType from, const ScalarValue& x) {
  ScalarValue out;
  if (ir::is_float(node.dtype)) {
    out.f = ir::is_float(from)          ? x.f
            : from == DataType::kU64 ? double(uint64_t(x.i))
                                     : double(x.i);
    return out;
  }
  if (!ir::is_float(from)) {
    out.i = wrap(node.dtype, x.i);
  } else if (node.dtype == DataType::kBool) {
    out.i = x.f != 0;
  } else {
    // The same defined truncation as Tensor::converted.
    int64_t bits = 0;
    if (std::isnan(x.f)) bits = 0;
    else if (x.f >= 9223372036854775808.0)
      bits = x.f < 18446744073709551616.0 ? int64_t(uint64_t(x.f))
                                          : std::numeric_limits<int64_t>::max();
    else if (x.f < -9223372036854775808.0) bits = std::numeric_limits<int64_t>::min();
    else bits = int64_t(x.f);
    out.i = wrap(node.dtype, bits);
  }
  return out;
}

ScalarValue compare(const ExprNode& node, DataType type, const ScalarValue& x,
                    const ScalarValue& y) {
  ScalarValue out;
  const bool is_unsigned = ir::is_unsigned_int(type);
  if (ir::is_float(type)) {
    out.i = node.op == ScalarOp::kEqual ? x.f == y.f
            : node.op == ScalarOp::kLess ? x.f < y.f
                                         : x.f <= y.f;
  } else if (node.op == ScalarOp::kEqual) {
    out.i = x.i == y.i;
  } else if (node.op == ScalarOp::kLess) {
    out.i = is_unsigned ? uint64_t(x.i) < uint64_t(y.i) : x.i < y.i;
  } else {
    out.i = is_unsigned ? uint64_t(x.i) <= uint64_t(y.i) : x.i <= y.i;
  }
  return out;
}

}  // namespace

void evaluate(const Expr& expr, std::span<const ScalarValue> args, std::span<ScalarValue> outputs,
              bool wide) {
  constexpr size_t kInline = 64;
  ScalarValue fixed[kInline];
  std::vector<ScalarValue> heap(expr.nodes.size() > kInline ? expr.nodes.size() : 0);
  ScalarValue* v = heap.empty() ? fixed : heap.data();
  for (size_t i = 0; i < expr.nodes.size(); ++i) {
    const ExprNode& n = expr.nodes[i];
    const bool is_float = ir::is_float(n.dtype);
    ScalarValue& out = v[i];
    switch (n.op) {
      case ScalarOp::kArg: out = args[size_t(n.a)]; continue;
      case ScalarOp::kImm: out = {n.imm, n.imm_int}; continue;
      case ScalarOp::kCast: out = cast(n, expr.nodes[size_t(n.a)].dtype, v[n.a]); break;
      case ScalarOp::kSelect: out = v[n.a].i ? v[n.b] : v[n.c]; break;
      case ScalarOp::kFma: out = {std::fma(v[n.a].f, v[n.b].f, v[n.c].f), v[n.a].i * v[n.b].i + v[n.c].i}; break;
      case ScalarOp::kIsNan: out = {0, std::isnan(v[n.a].f)}; break;
      case ScalarOp::kIsInf: out = {0, std::isinf(v[n.a].f)}; break;
      case ScalarOp::kEqual: case ScalarOp::kLess: case ScalarOp::kLessEqual:
        out = compare(n, expr.nodes[size_t(n.a)].dtype, v[n.a], v[n.b]);
        break;
      default:
        if (is_float) {
          out.f = info(n.op).arity == 1 ? unary_f(n.op, v[n.a].f)
                                        : binary_f(n.op, v[n.a].f, v[n.b].f);
        } else {
          const bool is_unsigned = ir::is_unsigned_int(n.dtype);
          out.i = info(n.op).arity == 1 ? unary_i(n.op, v[n.a].i, is_unsigned)
                                        : binary_i(n.op, v[n.a].i, v[n.b].i, is_unsigned);
          out.i = wrap(n.dtype, out.i);
        }
    }
    if (is_float && !wide) out.f = ir::round_to(n.dtype, out.f);
  }
  for (size_t i = 0; i < expr.outputs.size(); ++i) outputs[i] = v[expr.outputs[i]];
}

}  // namespace planish::kernel
