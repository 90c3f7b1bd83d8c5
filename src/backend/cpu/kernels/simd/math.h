// Elementary functions on vectors, for row kernels, attention and expression epilogues.
//
// Errors against the exact value (tested by rows_test.cc): exp, erf and sigmoid
// 3 ulp, tanh 4 ulp (exp's denormal results: half a denormal more). NaN gives NaN,
// infinities give the limits. The polynomials are weighted least-squares fits on Chebyshev points
// made for this file.
#pragma once

#include "backend/cpu/kernels/simd/vec.h"

namespace planish::cpu {

// Horner's rule, coefficients from the constant term on.
template <class V>
PLANISH_INLINE V polynomial(V, float c0) {
  return V::set(c0);
}
template <class V, class... Rest>
PLANISH_INLINE V polynomial(V x, float c0, Rest... rest) {
  return fma(polynomial(x, rest...), x, V::set(c0));
}

// exp(x) = 2^n exp(r), |r| <= log(2) / 2.
template <class V>
PLANISH_INLINE V exp(V x) {
  x = max(V::set(-104.f), min(V::set(89.f), x));  // beyond: 0 and infinity come out by themselves
  const V n = round(x * V::set(1.44269504f));
  const V r = fma(n, V::set(2.12194440e-4f), fma(n, V::set(-0.693359375f), x));
  const V p =
      polynomial(r, 0.500000008f, 0.166665162f, 0.0416662681f, 0.00836914436f, 0.0013946195f);
  return scale_by_any_power(fma(p, r * r, r) + V::set(1.f), n);
}

// exp(x) for x <= 0 and NaN; 0 where the result would be denormal: those cost a hundred clocks each,
// once here and again in every product they enter.
template <class V>
PLANISH_INLINE V exp_or_zero(V x) {
  const V least = V::set(-87.3f), low = max(least, x);
  const V n = round(low * V::set(1.44269504f));
  const V r = fma(n, V::set(2.12194440e-4f), fma(n, V::set(-0.693359375f), low));
  const V p =
      polynomial(r, 0.500000008f, 0.166665162f, 0.0416662681f, 0.00836914436f, 0.0013946195f);
  return select_less(x, least, V::zero(), scale_by_power(fma(p, r * r, r) + V::set(1.f), n));
}

// 1 / (1 + 2^n exp(-r)) with n log(2) - r = -x, |r| <= log(2) / 2; below -87 it is 0.
template <class V>
PLANISH_INLINE V sigmoid(V x) {
  const V least = V::set(-87.f), given = x;
  x = max(least, min(V::set(87.f), x));
  const V n = round(x * V::set(-1.44269502f));
  const V r = fma(n, V::set(-2.12194440e-4f), fma(n, V::set(0.693359375f), x));
  const V p = polynomial(r, 1.f, -1.f, 0.49999994f, -0.166664287f,
                         0.0416680127f, -0.00837431755f, 0.00138434605f);
  return select_less(given, least, V::zero(), reciprocal(V::set(1.f) + scale_by_power(p, n)));
}

// A polynomial near zero, 1 - 2 / (exp(2 |x|) + 1) elsewhere.
template <class V>
PLANISH_INLINE V tanh(V x) {
  const V a = min(V::set(10.f), abs(x)), z = x * x, one = V::set(1.f);  // from 9.1 on the float is 1
  const V p =
      polynomial(z, -0.333332918f, 0.133316015f, -0.0537474706f, 0.0206518229f, -0.00570869952f);
  const V small = fma(p * z, x, x);
  const V large = copy_sign(one - V::set(2.f) * reciprocal(exp(a + a) + one), x);
  return select_less(a, V::set(0.625f), small, large);
}

// A polynomial up to 1, then 1 - exp(-q(|x|)); from 4 on the float is 1.
template <class V>
PLANISH_INLINE V erf(V x) {
  const V a = min(V::set(4.f), abs(x)), z = a * a, u = a - V::set(2.f);
  const V small = x * polynomial(z, 1.12837917f, -0.376126269f, 0.112835975f, -0.0268543288f,
                                 0.00518931194f, -0.000801885499f, 7.88249712e-05f);
  const V q = polynomial(u, 5.36494126f, 4.41816062f, 0.923750584f, 0.0164666353f, -0.00356780094f,
                         0.000731002963f, -0.000140046746f, 2.02254148e-05f);
  const V large = copy_sign(V::set(1.f) - exp(V::zero() - q), x);
  return select_less(a, V::set(1.f), small, large);
}

}  // namespace planish::cpu
