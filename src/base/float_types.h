// Conversions between float and the narrow storage formats: IEEE half, bfloat16, the OCP 8-bit
// formats with their fnuz variants, e8m0 scales and e2m1 4-bit floats. Round to nearest even.
// Saturating conversions clamp overflow to the largest finite value; the others give infinity
// (or NaN where the format has no infinity), as the ONNX Cast specification says.
#pragma once
#include <cstdint>

namespace planish {

uint16_t float_to_half(float value);
float half_to_float(uint16_t bits);
uint16_t float_to_bfloat16(float value);
inline float bfloat16_to_float(uint16_t bits) {
  return __builtin_bit_cast(float, uint32_t(bits) << 16);
}
// `count` values, with the same bits as one by one.
void floats_to_halves(const float* from, uint16_t* to, int64_t count);
void floats_to_bfloats16(const float* from, uint16_t* to, int64_t count);
// A double rounded once (not through float) to half or bfloat16.
uint16_t double_to_half(double value);
uint16_t double_to_bfloat16(double value);

// A small floating-point format of up to 8 bits: sign, exponent, mantissa.
struct MiniFloat {
  int exponent_bits;
  int mantissa_bits;
  int bias;
  bool has_infinity;  // all-ones exponent is infinity and NaN, as in IEEE
  bool has_nan;       // false: every code is finite (e2m1)
  bool fnuz;          // no negative zero: its code is the only NaN
};
inline constexpr MiniFloat kF8E4M3Fn{4, 3, 7, false, true, false};
inline constexpr MiniFloat kF8E5M2{5, 2, 15, true, true, false};
inline constexpr MiniFloat kF8E4M3Fnuz{4, 3, 8, false, true, true};
inline constexpr MiniFloat kF8E5M2Fnuz{5, 2, 16, false, true, true};
inline constexpr MiniFloat kF4E2M1{2, 1, 1, false, false, false};

uint8_t float_to_mini(float value, const MiniFloat& format, bool saturate = true);
float mini_to_float(uint8_t bits, const MiniFloat& format);

// e8m0: a power of two, 2^(bits - 127); 255 is NaN. Rounding away as ONNX Cast's round_mode says.
enum class E8M0Rounding { kUp, kDown, kNearest };
uint8_t float_to_e8m0(float value, bool saturate = true, E8M0Rounding mode = E8M0Rounding::kUp);
float e8m0_to_float(uint8_t bits);

}  // namespace planish
