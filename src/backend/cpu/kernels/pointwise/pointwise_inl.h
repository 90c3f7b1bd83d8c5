// The block loops, once for every instruction set. `out` may be an operand. Plain loops are left to the compiler's vectorizer;
// elementary functions are vector templates.
#pragma once

#include <cmath>

#include "backend/cpu/kernels/pointwise/pointwise.h"
#include "backend/cpu/kernels/simd/math.h"

namespace planish::cpu {
namespace {

using kernel::ScalarOp;

template <class F>
inline __attribute__((always_inline)) void each(const float* a, float* out, int64_t n, F f) {
  PLANISH_IVDEP
  for (int64_t i = 0; i < n; i++) out[i] = f(a[i]);
}
template <class F>
inline __attribute__((always_inline)) void each2(const float* a, const float* b, float* out,
                                                 int64_t n, F f) {
  PLANISH_IVDEP
  for (int64_t i = 0; i < n; i++) out[i] = f(a[i], b[i]);
}

template <class V>
void unary_block(ScalarOp op, const float* a, float* out, int64_t n) {
  const auto vector = [&](auto f) __attribute__((always_inline)) {
    for (int64_t i = 0; i < n; i += V::kWidth) f(V::load(a + i)).store(out + i);
  };
  switch (op) {
    case ScalarOp::kNeg: return each(a, out, n, [](float x) { return -x; });
    case ScalarOp::kAbs: return each(a, out, n, [](float x) { return std::fabs(x); });
    case ScalarOp::kSign:
      return each(a, out, n, [](float x) { return x > 0 ? 1.f : x < 0 ? -1.f : x; });
    case ScalarOp::kCeil: return each(a, out, n, [](float x) { return std::ceil(x); });
    case ScalarOp::kFloor: return each(a, out, n, [](float x) { return std::floor(x); });
    case ScalarOp::kRound: return vector([](V x) __attribute__((always_inline)) { return round(x); });
    case ScalarOp::kTrunc: return each(a, out, n, [](float x) { return std::trunc(x); });
    case ScalarOp::kSqrt: return vector([](V x) __attribute__((always_inline)) { return sqrt(x); });
    case ScalarOp::kRsqrt: return each(a, out, n, [](float x) { return 1 / std::sqrt(x); });
    case ScalarOp::kReciprocal: return each(a, out, n, [](float x) { return 1 / x; });
    case ScalarOp::kExp: return vector([](V x) __attribute__((always_inline)) { return exp(x); });
    case ScalarOp::kTanh: return vector([](V x) __attribute__((always_inline)) { return tanh(x); });
    case ScalarOp::kErf: return vector([](V x) __attribute__((always_inline)) { return erf(x); });
    case ScalarOp::kSigmoid:
      return vector([](V x) __attribute__((always_inline)) { return sigmoid(x); });
    case ScalarOp::kExpm1: return each(a, out, n, [](float x) { return std::expm1(x); });
    case ScalarOp::kLog: return each(a, out, n, [](float x) { return std::log(x); });
    case ScalarOp::kLog1p: return each(a, out, n, [](float x) { return std::log1p(x); });
    case ScalarOp::kSin: return each(a, out, n, [](float x) { return std::sin(x); });
    case ScalarOp::kCos: return each(a, out, n, [](float x) { return std::cos(x); });
    case ScalarOp::kTan: return each(a, out, n, [](float x) { return std::tan(x); });
    case ScalarOp::kAsin: return each(a, out, n, [](float x) { return std::asin(x); });
    case ScalarOp::kAcos: return each(a, out, n, [](float x) { return std::acos(x); });
    case ScalarOp::kAtan: return each(a, out, n, [](float x) { return std::atan(x); });
    case ScalarOp::kSinh: return each(a, out, n, [](float x) { return std::sinh(x); });
    case ScalarOp::kCosh: return each(a, out, n, [](float x) { return std::cosh(x); });
    case ScalarOp::kAsinh: return each(a, out, n, [](float x) { return std::asinh(x); });
    case ScalarOp::kAcosh: return each(a, out, n, [](float x) { return std::acosh(x); });
    case ScalarOp::kAtanh: return each(a, out, n, [](float x) { return std::atanh(x); });
    case ScalarOp::kSoftplus:
      return each(a, out, n, [](float x) {
        return (x > 0 ? x : 0.f) + std::log1p(std::exp(-std::fabs(x)));
      });
    case ScalarOp::kIsNan: return each(a, out, n, [](float x) { return x != x ? 1.f : 0.f; });
    case ScalarOp::kIsInf:
      return each(a, out, n, [](float x) { return std::fabs(x) == INFINITY ? 1.f : 0.f; });
    case ScalarOp::kNot: return each(a, out, n, [](float x) { return x == 0 ? 1.f : 0.f; });
    default: return each(a, out, n, [](float) { return NAN; });
  }
}

float python_mod(float x, float y) {
  const float r = std::fmod(x, y);
  return r != 0 && (r < 0) != (y < 0) ? r + y : r;
}

void binary_block(ScalarOp op, const float* a, const float* b, float* out, int64_t n) {
  switch (op) {
    case ScalarOp::kAdd: return each2(a, b, out, n, [](float x, float y) { return x + y; });
    case ScalarOp::kSub: return each2(a, b, out, n, [](float x, float y) { return x - y; });
    case ScalarOp::kMul: return each2(a, b, out, n, [](float x, float y) { return x * y; });
    case ScalarOp::kDiv: return each2(a, b, out, n, [](float x, float y) { return x / y; });
    case ScalarOp::kPow:
      return each2(a, b, out, n, [](float x, float y) { return std::pow(x, y); });
    case ScalarOp::kMin:
      return each2(a, b, out, n, [](float x, float y) {
        const float r = x < y ? x : y;
        return x != x ? x : r;
      });
    case ScalarOp::kMax:
      return each2(a, b, out, n, [](float x, float y) {
        const float r = x > y ? x : y;
        return x != x ? x : r;
      });
    case ScalarOp::kMod: return each2(a, b, out, n, python_mod);
    case ScalarOp::kFmod:
      return each2(a, b, out, n, [](float x, float y) { return std::fmod(x, y); });
    case ScalarOp::kAtan2:
      return each2(a, b, out, n, [](float x, float y) { return std::atan2(x, y); });
    case ScalarOp::kEqual:
      return each2(a, b, out, n, [](float x, float y) { return x == y ? 1.f : 0.f; });
    case ScalarOp::kLess:
      return each2(a, b, out, n, [](float x, float y) { return x < y ? 1.f : 0.f; });
    case ScalarOp::kLessEqual:
      return each2(a, b, out, n, [](float x, float y) { return x <= y ? 1.f : 0.f; });
    case ScalarOp::kAnd: return each2(a, b, out, n, [](float x, float y) { return x * y; });
    case ScalarOp::kOr:
      return each2(a, b, out, n, [](float x, float y) { return x + y > 0 ? 1.f : 0.f; });
    case ScalarOp::kXor:
      return each2(a, b, out, n, [](float x, float y) { return x != y ? 1.f : 0.f; });
    default: return each2(a, b, out, n, [](float, float) { return NAN; });
  }
}

void select_block(const float* c, const float* a, const float* b, float* out, int64_t n) {
  PLANISH_IVDEP
  for (int64_t i = 0; i < n; i++) out[i] = c[i] != 0 ? a[i] : b[i];
}
void select_int_block(const float* __restrict c, const int64_t* __restrict a,
                      const int64_t* __restrict b, int64_t* __restrict out, int64_t n) {
  for (int64_t i = 0; i < n; i++) out[i] = c[i] != 0 ? a[i] : b[i];
}

template <class F>
inline __attribute__((always_inline)) void each2_int(const int64_t* a, const int64_t* b,
                                                     int64_t* out, int64_t n, F f) {
  for (int64_t i = 0; i < n; i++) out[i] = int64_t(f(uint64_t(a[i]), uint64_t(b[i])));
}

void binary_int_block(ScalarOp op, const int64_t* a, const int64_t* b, int64_t* out, int64_t n) {
  using U = uint64_t;
  switch (op) {
    case ScalarOp::kAdd: return each2_int(a, b, out, n, [](U x, U y) { return x + y; });
    case ScalarOp::kSub: return each2_int(a, b, out, n, [](U x, U y) { return x - y; });
    case ScalarOp::kMul: return each2_int(a, b, out, n, [](U x, U y) { return x * y; });
    case ScalarOp::kMin:
      return each2_int(a, b, out, n, [](U x, U y) { return int64_t(x) < int64_t(y) ? x : y; });
    case ScalarOp::kMax:
      return each2_int(a, b, out, n, [](U x, U y) { return int64_t(x) > int64_t(y) ? x : y; });
    // By zero: 0, as the definition has it.
    case ScalarOp::kDiv:
      return each2_int(a, b, out, n, [](U x, U y) {
        return y == 0 ? U(0) : y == ~U(0) ? 0 - x : U(int64_t(x) / int64_t(y));
      });
    case ScalarOp::kMod:
    case ScalarOp::kFmod:
      return each2_int(a, b, out, n, [op](U x, U y) {
        if (y == 0 || y == ~U(0)) return U(0);
        const int64_t r = int64_t(x) % int64_t(y);
        return U(op == ScalarOp::kMod && r != 0 && (r < 0) != (int64_t(y) < 0) ? r + int64_t(y) : r);
      });
    case ScalarOp::kBitAnd: return each2_int(a, b, out, n, [](U x, U y) { return x & y; });
    case ScalarOp::kBitOr: return each2_int(a, b, out, n, [](U x, U y) { return x | y; });
    default: return each2_int(a, b, out, n, [](U x, U y) { return x ^ y; });
  }
}

void compare_int_block(ScalarOp op, const int64_t* a, const int64_t* b, float* out, int64_t n) {
  if (op == ScalarOp::kEqual) {
    for (int64_t i = 0; i < n; i++) out[i] = a[i] == b[i] ? 1.f : 0.f;
  } else if (op == ScalarOp::kLess) {
    for (int64_t i = 0; i < n; i++) out[i] = a[i] < b[i] ? 1.f : 0.f;
  } else {
    for (int64_t i = 0; i < n; i++) out[i] = a[i] <= b[i] ? 1.f : 0.f;
  }
}

template <class V>
void fma_block(const float* a, const float* b, const float* c, float* out, int64_t n) {
  for (int64_t i = 0; i < n; i += V::kWidth)
    fma(V::load(a + i), V::load(b + i), V::load(c + i)).store(out + i);
}
template <class V>
void max_with_block(const float* number, const float* x, float* out, int64_t n) {
  for (int64_t i = 0; i < n; i += V::kWidth) max(V::load(number + i), V::load(x + i)).store(out + i);
}
template <class V>
void min_with_block(const float* number, const float* x, float* out, int64_t n) {
  for (int64_t i = 0; i < n; i += V::kWidth) min(V::load(number + i), V::load(x + i)).store(out + i);
}

template <class V>
const PointwiseKernels& make_pointwise_kernels() {
  static const PointwiseKernels kernels = {
      unary_block<V>,    binary_block, fma_block<V>,     max_with_block<V>,
      min_with_block<V>, select_block, select_int_block, binary_int_block,
      compare_int_block};
  return kernels;
}

}  // namespace
}  // namespace planish::cpu
