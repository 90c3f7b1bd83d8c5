#include "backend/cuda/emit/prelude.h"

namespace planish::cuda {

const char kPrelude[] = R"X(
typedef unsigned char u8; typedef signed char i8; typedef unsigned short u16; typedef short i16;
typedef unsigned int u32; typedef unsigned long long u64; typedef long long i64;
struct alignas(16) V4 { u32 x, y, z, w; };
struct alignas(64) TensorMap { u64 v[16]; };
#define DEV static __device__ __forceinline__
DEV float f16_to_f32(u16 h) { float f; asm("cvt.f32.f16 %0,%1;" : "=f"(f) : "h"(h)); return f; }
DEV u16 f32_to_f16(float f) { u16 h; asm("cvt.rn.f16.f32 %0,%1;" : "=h"(h) : "f"(f)); return h; }
DEV float bf16_to_f32(u16 h) { return __uint_as_float((u32)h << 16); }
#if __CUDA_ARCH__ >= 800
DEV u16 f32_to_bf16(float f) { u16 h; asm("cvt.rn.bf16.f32 %0,%1;" : "=h"(h) : "f"(f)); return h; }
DEV u32 pack_f16x2(float l, float h) {
  u32 r; asm("cvt.rn.f16x2.f32 %0,%2,%1;" : "=r"(r) : "f"(l), "f"(h)); return r;
}
DEV u32 pack_bf16x2(float l, float h) {
  u32 r; asm("cvt.rn.bf16x2.f32 %0,%2,%1;" : "=r"(r) : "f"(l), "f"(h)); return r;
}
DEV float max_nan(float a, float b) {
  float r; asm("max.NaN.f32 %0,%1,%2;" : "=f"(r) : "f"(a), "f"(b)); return r;
}
DEV float min_nan(float a, float b) {
  float r; asm("min.NaN.f32 %0,%1,%2;" : "=f"(r) : "f"(a), "f"(b)); return r;
}
#else
DEV u16 f32_to_bf16(float f) {
  const u32 u = __float_as_uint(f);
  return f != f ? 0x7fff : (u16)((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
}
DEV u32 pack_f16x2(float l, float h) { return f32_to_f16(l) | (u32)f32_to_f16(h) << 16; }
DEV u32 pack_bf16x2(float l, float h) { return f32_to_bf16(l) | (u32)f32_to_bf16(h) << 16; }
DEV float max_nan(float a, float b) { return a != a || b != b ? a + b : fmaxf(a, b); }
DEV float min_nan(float a, float b) { return a != a || b != b ? a + b : fminf(a, b); }
#endif
DEV float f16_low(u32 v) { return f16_to_f32((u16)v); }
DEV float f16_high(u32 v) { return f16_to_f32((u16)(v >> 16)); }
DEV float bf16_low(u32 v) { return __uint_as_float(v << 16); }
DEV float bf16_high(u32 v) { return __uint_as_float(v & 0xffff0000u); }
DEV V4 ld16(const void* p) {
  V4 v; asm volatile("ld.global.v4.u32 {%0,%1,%2,%3},[%4];"
                     : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(p) : "memory");
  return v;
}
DEV V4 ld16_nc(const void* p) {
  V4 v; asm("ld.global.nc.v4.u32 {%0,%1,%2,%3},[%4];"
            : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(p));
  return v;
}
DEV void st16(void* p, V4 v) {
  asm volatile("st.global.v4.u32 [%0],{%1,%2,%3,%4};"
               :: "l"(p), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w) : "memory");
}
#if __CUDA_ARCH__ >= 900
DEV void grid_wait() { asm volatile("griddepcontrol.wait;" ::: "memory"); }
DEV void grid_launch() { asm volatile("griddepcontrol.launch_dependents;" ::: "memory"); }
#else
DEV void grid_wait() {}
DEV void grid_launch() {}
#endif
DEV double max_nan(double a, double b) { return a != a || b != b ? a + b : fmax(a, b); }
DEV double min_nan(double a, double b) { return a != a || b != b ? a + b : fmin(a, b); }
// The language's defined truncation: NaN is 0, beyond 64 bits the ends, unsigned where it fits.
DEV i64 trunc_i64(double x) {
  if (x != x) return 0;
  if (x >= 9223372036854775808.0)
    return x < 18446744073709551616.0 ? (i64)(u64)x : 0x7fffffffffffffffll;
  if (x < -9223372036854775808.0) return (i64)0x8000000000000000ull;
  return (i64)x;
}
DEV i64 power_i64(i64 base, i64 exponent) {
  if (exponent < 0) return base == 1 ? 1 : base == -1 ? (exponent % 2 ? -1 : 1) : 0;
  u64 result = 1, factor = (u64)base;
  for (; exponent; exponent >>= 1, factor *= factor)
    if (exponent & 1) result *= factor;
  return (i64)result;
}
// Remainder with the divisor's sign.
DEV float floor_mod(float x, float y) {
  float r = fmodf(x, y); return r != 0.0f && (r < 0.0f) != (y < 0.0f) ? r + y : r;
}
DEV double floor_mod(double x, double y) {
  double r = fmod(x, y); return r != 0.0 && (r < 0.0) != (y < 0.0) ? r + y : r;
}
)X";

}  // namespace planish::cuda
