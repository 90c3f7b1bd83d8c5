// One vector type per instruction set, with the same few operations, so that a kernel is written
// once as a template over the type and compiled per set.
//
// Which types exist depends on the flags of the including file: VecPortable always, VecAvx2 and
// VecAvx512 only where their instructions are allowed. The types have different names on purpose:
// were they one template, the linker could pick the AVX-512 body of an inline function for the
// portable build. For the same reason a kernel header must hold templates over the vector type
// only, never plain inline functions.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#if defined(__clang__)
#define PLANISH_PRAGMA(x) _Pragma(#x)
#define PLANISH_UNROLL(n) PLANISH_PRAGMA(clang loop unroll_count(n))
#define PLANISH_NOINLINE __attribute__((noinline))
#define PLANISH_INLINE inline __attribute__((always_inline))
#else
#define PLANISH_PRAGMA(x) _Pragma(#x)
#define PLANISH_UNROLL(n) PLANISH_PRAGMA(GCC unroll n)
#define PLANISH_NOINLINE __attribute__((noinline))
#define PLANISH_INLINE inline __attribute__((always_inline))
#endif

// The loop below may be vectorized although its pointers may be equal: no iteration reads what
// another writes.
#if defined(__clang__)
#define PLANISH_IVDEP PLANISH_PRAGMA(clang loop vectorize(assume_safety))
#else
#define PLANISH_IVDEP PLANISH_PRAGMA(GCC ivdep)
#endif

namespace planish::cpu {

// Eight floats as two compiler vectors of four: any processor with 128-bit registers does well with
// it.
struct VecPortable {
  using Quad = float __attribute__((vector_size(16)));
  using IntQuad = int32_t __attribute__((vector_size(16)));
  static constexpr int kWidth = 8;
  static constexpr int kRegisters = 16;
  Quad lo, hi;

  static PLANISH_INLINE VecPortable load(const float* p) {
    VecPortable v;
    std::memcpy(&v.lo, p, 16);
    std::memcpy(&v.hi, p + 4, 16);
    return v;
  }
  // The first count floats, the rest 0.
  static PLANISH_INLINE VecPortable load(const float* p, int count) {
    float t[8] = {};
    for (int i = 0; i < count; i++) t[i] = p[i];
    return load(t);
  }
  static PLANISH_INLINE VecPortable set(float x) { return {Quad{x, x, x, x}, Quad{x, x, x, x}}; }
  static PLANISH_INLINE VecPortable zero() { return {Quad{}, Quad{}}; }
  PLANISH_INLINE void store(float* p) const {
    std::memcpy(p, &lo, 16);
    std::memcpy(p + 4, &hi, 16);
  }
  PLANISH_INLINE void store(float* p, int count) const {
    float t[8];
    store(t);
    for (int i = 0; i < count; i++) p[i] = t[i];
  }
  friend PLANISH_INLINE VecPortable operator+(VecPortable a, VecPortable b) {
    return {a.lo + b.lo, a.hi + b.hi};
  }
  friend PLANISH_INLINE VecPortable operator-(VecPortable a, VecPortable b) {
    return {a.lo - b.lo, a.hi - b.hi};
  }
  friend PLANISH_INLINE VecPortable operator*(VecPortable a, VecPortable b) {
    return {a.lo * b.lo, a.hi * b.hi};
  }
  friend PLANISH_INLINE VecPortable operator/(VecPortable a, VecPortable b) {
    return {a.lo / b.lo, a.hi / b.hi};
  }
  // a where mask is all ones, else b.
  static PLANISH_INLINE Quad pick(IntQuad mask, Quad a, Quad b) {
    return Quad((mask & IntQuad(a)) | (~mask & IntQuad(b)));
  }
};
// a * b + c; fused where the set has it.
PLANISH_INLINE VecPortable fma(VecPortable a, VecPortable b, VecPortable c) {
  return {a.lo * b.lo + c.lo, a.hi * b.hi + c.hi};
}
// max(a, b) and min(a, b) give b when either is NaN, as the x86 instructions do: put the data
// second.
PLANISH_INLINE VecPortable max(VecPortable a, VecPortable b) {
  return {VecPortable::pick(a.lo > b.lo, a.lo, b.lo), VecPortable::pick(a.hi > b.hi, a.hi, b.hi)};
}
PLANISH_INLINE VecPortable min(VecPortable a, VecPortable b) {
  return {VecPortable::pick(a.lo < b.lo, a.lo, b.lo), VecPortable::pick(a.hi < b.hi, a.hi, b.hi)};
}
// x where a < b (false for NaN), else y.
PLANISH_INLINE VecPortable select_less(VecPortable a, VecPortable b, VecPortable x, VecPortable y) {
  return {VecPortable::pick(a.lo < b.lo, x.lo, y.lo), VecPortable::pick(a.hi < b.hi, x.hi, y.hi)};
}
PLANISH_INLINE VecPortable abs(VecPortable a) {
  const VecPortable::IntQuad m = VecPortable::IntQuad{} + 0x7fffffff;
  return {VecPortable::Quad(VecPortable::IntQuad(a.lo) & m),
          VecPortable::Quad(VecPortable::IntQuad(a.hi) & m)};
}
// |a| with the sign bit of s.
PLANISH_INLINE VecPortable copy_sign(VecPortable a, VecPortable s) {
  const VecPortable::IntQuad m = VecPortable::IntQuad{} + 0x7fffffff;
  using I = VecPortable::IntQuad;
  return {VecPortable::Quad((I(a.lo) & m) | (I(s.lo) & ~m)),
          VecPortable::Quad((I(a.hi) & m) | (I(s.hi) & ~m))};
}
template <class F>
PLANISH_INLINE VecPortable map_lanes(VecPortable a, F f) {
  float t[8];
  a.store(t);
  for (float& x : t) x = f(x);
  return VecPortable::load(t);
}
PLANISH_INLINE VecPortable sqrt(VecPortable a) {
  return map_lanes(a, [](float x) { return std::sqrt(x); });
}
PLANISH_INLINE VecPortable round(VecPortable a) {
  return map_lanes(a, [](float x) { return std::nearbyint(x); });
}
// a * 2^n for an integral n in [-126, 127], by way of the exponent bits.
PLANISH_INLINE VecPortable scale_by_power(VecPortable a, VecPortable n) {
  float t[8], u[8];
  a.store(t);
  n.store(u);
  for (int i = 0; i < 8; i++) t[i] = u[i] == u[i] ? std::ldexp(t[i], static_cast<int>(u[i])) : u[i];
  return VecPortable::load(t);
}
// As scale_by_power, for any integral n: zero, denormals and infinity come out.
PLANISH_INLINE VecPortable scale_by_any_power(VecPortable a, VecPortable n) {
  return scale_by_power(a, n);  // ldexp takes every power
}
// 1 / a within 1 ulp, for |a| in [2^-100, 2^126] and NaN.
PLANISH_INLINE VecPortable reciprocal(VecPortable a) { return VecPortable::set(1.f) / a; }
PLANISH_INLINE float sum(VecPortable a) {
  const VecPortable::Quad q = a.lo + a.hi;
  return (q[0] + q[2]) + (q[1] + q[3]);
}
PLANISH_INLINE float largest(VecPortable a) {
  const VecPortable::Quad q = VecPortable::pick(a.lo > a.hi, a.lo, a.hi);
  const float x = q[0] > q[1] ? q[0] : q[1], y = q[2] > q[3] ? q[2] : q[3];
  return x > y ? x : y;
}

#if defined(__AVX2__)
struct VecAvx2 {
  static constexpr int kWidth = 8;
  static constexpr int kRegisters = 16;
  __m256 v;

  static PLANISH_INLINE VecAvx2 load(const float* p) { return {_mm256_loadu_ps(p)}; }
  static PLANISH_INLINE __m256i mask(int count) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  static PLANISH_INLINE VecAvx2 load(const float* p, int count) {
    return {_mm256_maskload_ps(p, mask(count))};
  }
  static PLANISH_INLINE VecAvx2 set(float x) { return {_mm256_set1_ps(x)}; }
  static PLANISH_INLINE VecAvx2 zero() { return {_mm256_setzero_ps()}; }
  PLANISH_INLINE void store(float* p) const { _mm256_storeu_ps(p, v); }
  PLANISH_INLINE void store(float* p, int count) const { _mm256_maskstore_ps(p, mask(count), v); }
  friend PLANISH_INLINE VecAvx2 operator+(VecAvx2 a, VecAvx2 b) {
    return {_mm256_add_ps(a.v, b.v)};
  }
  friend PLANISH_INLINE VecAvx2 operator-(VecAvx2 a, VecAvx2 b) {
    return {_mm256_sub_ps(a.v, b.v)};
  }
  friend PLANISH_INLINE VecAvx2 operator*(VecAvx2 a, VecAvx2 b) {
    return {_mm256_mul_ps(a.v, b.v)};
  }
  friend PLANISH_INLINE VecAvx2 operator/(VecAvx2 a, VecAvx2 b) {
    return {_mm256_div_ps(a.v, b.v)};
  }
};
PLANISH_INLINE VecAvx2 fma(VecAvx2 a, VecAvx2 b, VecAvx2 c) {
  return {_mm256_fmadd_ps(a.v, b.v, c.v)};
}
PLANISH_INLINE VecAvx2 max(VecAvx2 a, VecAvx2 b) { return {_mm256_max_ps(a.v, b.v)}; }
PLANISH_INLINE VecAvx2 min(VecAvx2 a, VecAvx2 b) { return {_mm256_min_ps(a.v, b.v)}; }
PLANISH_INLINE VecAvx2 select_less(VecAvx2 a, VecAvx2 b, VecAvx2 x, VecAvx2 y) {
  return {_mm256_blendv_ps(y.v, x.v, _mm256_cmp_ps(a.v, b.v, _CMP_LT_OQ))};
}
PLANISH_INLINE VecAvx2 abs(VecAvx2 a) { return {_mm256_andnot_ps(_mm256_set1_ps(-0.f), a.v)}; }
PLANISH_INLINE VecAvx2 copy_sign(VecAvx2 a, VecAvx2 s) {
  const __m256 m = _mm256_set1_ps(-0.f);
  return {_mm256_or_ps(_mm256_andnot_ps(m, a.v), _mm256_and_ps(m, s.v))};
}
PLANISH_INLINE VecAvx2 sqrt(VecAvx2 a) { return {_mm256_sqrt_ps(a.v)}; }
PLANISH_INLINE VecAvx2 round(VecAvx2 a) { return {_mm256_round_ps(a.v, 8)}; }
PLANISH_INLINE VecAvx2 scale_by_power(VecAvx2 a, VecAvx2 n) {
  const __m256i e =
      _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n.v), _mm256_set1_epi32(127)), 23);
  return {_mm256_mul_ps(a.v, _mm256_castsi256_ps(e))};
}
PLANISH_INLINE VecAvx2 scale_by_any_power(VecAvx2 a, VecAvx2 n) {
  const VecAvx2 half = round(n * VecAvx2::set(0.5f));  // 2^n alone may be no float
  return scale_by_power(scale_by_power(a, half), n - half);
}
PLANISH_INLINE VecAvx2 reciprocal(VecAvx2 a) { return VecAvx2::set(1.f) / a; }
PLANISH_INLINE float sum(VecAvx2 a) {
  __m128 q = _mm_add_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  q = _mm_add_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}
PLANISH_INLINE float largest(VecAvx2 a) {
  __m128 q = _mm_max_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  q = _mm_max_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_max_ss(q, _mm_movehdup_ps(q)));
}
#endif

#if defined(__AVX512F__)
struct VecAvx512 {
  static constexpr int kWidth = 16;
  static constexpr int kRegisters = 32;
  __m512 v;

  static PLANISH_INLINE VecAvx512 load(const float* p) { return {_mm512_loadu_ps(p)}; }
  static PLANISH_INLINE __mmask16 mask(int count) {
    return static_cast<__mmask16>((1u << count) - 1);
  }
  static PLANISH_INLINE VecAvx512 load(const float* p, int count) {
    return {_mm512_maskz_loadu_ps(mask(count), p)};
  }
  static PLANISH_INLINE VecAvx512 set(float x) { return {_mm512_set1_ps(x)}; }
  static PLANISH_INLINE VecAvx512 zero() { return {_mm512_setzero_ps()}; }
  PLANISH_INLINE void store(float* p) const { _mm512_storeu_ps(p, v); }
  PLANISH_INLINE void store(float* p, int count) const { _mm512_mask_storeu_ps(p, mask(count), v); }
  friend PLANISH_INLINE VecAvx512 operator+(VecAvx512 a, VecAvx512 b) {
    return {_mm512_add_ps(a.v, b.v)};
  }
  friend PLANISH_INLINE VecAvx512 operator-(VecAvx512 a, VecAvx512 b) {
    return {_mm512_sub_ps(a.v, b.v)};
  }
  friend PLANISH_INLINE VecAvx512 operator*(VecAvx512 a, VecAvx512 b) {
    return {_mm512_mul_ps(a.v, b.v)};
  }
  friend PLANISH_INLINE VecAvx512 operator/(VecAvx512 a, VecAvx512 b) {
    return {_mm512_div_ps(a.v, b.v)};
  }
};
PLANISH_INLINE VecAvx512 fma(VecAvx512 a, VecAvx512 b, VecAvx512 c) {
  return {_mm512_fmadd_ps(a.v, b.v, c.v)};
}
// The masked forms: g++ 12 warns about an undefined register inside the plain ones.
PLANISH_INLINE VecAvx512 max(VecAvx512 a, VecAvx512 b) {
  return {_mm512_maskz_max_ps(0xffff, a.v, b.v)};
}
PLANISH_INLINE VecAvx512 min(VecAvx512 a, VecAvx512 b) {
  return {_mm512_maskz_min_ps(0xffff, a.v, b.v)};
}
PLANISH_INLINE VecAvx512 select_less(VecAvx512 a, VecAvx512 b, VecAvx512 x, VecAvx512 y) {
  return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ), y.v, x.v)};
}
PLANISH_INLINE VecAvx512 abs(VecAvx512 a) {
  const __m512i m = _mm512_set1_epi32(0x7fffffff);
  return {_mm512_castsi512_ps(_mm512_and_epi32(_mm512_castps_si512(a.v), m))};
}
PLANISH_INLINE VecAvx512 copy_sign(VecAvx512 a, VecAvx512 s) {
  const __m512i m = _mm512_set1_epi32(0x7fffffff);
  return {_mm512_castsi512_ps(
      _mm512_or_epi32(_mm512_and_epi32(m, _mm512_castps_si512(a.v)),
                      _mm512_maskz_andnot_epi32(0xffff, m, _mm512_castps_si512(s.v))))};
}
PLANISH_INLINE VecAvx512 sqrt(VecAvx512 a) { return {_mm512_maskz_sqrt_ps(0xffff, a.v)}; }
PLANISH_INLINE VecAvx512 round(VecAvx512 a) { return {_mm512_maskz_roundscale_ps(0xffff, a.v, 8)}; }
PLANISH_INLINE VecAvx512 scale_by_power(VecAvx512 a, VecAvx512 n) {
  return {_mm512_maskz_scalef_ps(0xffff, a.v, n.v)};
}
PLANISH_INLINE VecAvx512 scale_by_any_power(VecAvx512 a, VecAvx512 n) {
  return scale_by_power(a, n);
}
// 14 bits from the table, doubled by one Newton step: a fourth of a division's time.
PLANISH_INLINE VecAvx512 reciprocal(VecAvx512 a) {
  const __m512 r = _mm512_maskz_rcp14_ps(0xffff, a.v);
  const __m512 e = _mm512_fnmadd_ps(a.v, r, _mm512_set1_ps(1.f));
  return {_mm512_fmadd_ps(e, r, r)};
}
PLANISH_INLINE float sum(VecAvx512 a) {
  return sum(VecAvx2{_mm256_add_ps(_mm512_maskz_extractf32x8_ps(0xff, a.v, 0),
                                   _mm512_maskz_extractf32x8_ps(0xff, a.v, 1))});
}
PLANISH_INLINE float largest(VecAvx512 a) {
  return largest(VecAvx2{_mm256_max_ps(_mm512_maskz_extractf32x8_ps(0xff, a.v, 0),
                                       _mm512_maskz_extractf32x8_ps(0xff, a.v, 1))});
}
#endif

}  // namespace planish::cpu
