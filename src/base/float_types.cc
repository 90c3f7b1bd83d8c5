#include "base/float_types.h"

#include <cmath>
#include <limits>

namespace planish {
namespace {

// Rounds a finite magnitude to `mantissa_bits` at the given least exponent, ties to even.
// The result is an integer count of the format's spacing at that exponent.
struct Rounded {
  int exponent;      // of the leading bit, at least min_exponent
  uint64_t steps;    // magnitude / 2^(exponent - mantissa_bits)
};
Rounded round_magnitude(double magnitude, int mantissa_bits, int min_exponent) {
  int exponent = 0;
  std::frexp(magnitude, &exponent);
  exponent = exponent - 1 < min_exponent ? min_exponent : exponent - 1;
  double scaled = std::nearbyint(std::ldexp(magnitude, mantissa_bits - exponent));
  if (scaled >= std::ldexp(1.0, mantissa_bits + 1)) {
    scaled /= 2;
    ++exponent;
  }
  return {exponent, uint64_t(scaled)};
}

// IEEE-style 16-bit formats.
uint16_t encode16(double value, int exponent_bits, int mantissa_bits) {
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  const uint16_t infinity = uint16_t(((1 << exponent_bits) - 1) << mantissa_bits);
  if (std::isnan(value)) return sign | infinity | uint16_t(1 << (mantissa_bits - 1));
  if (std::isinf(value)) return sign | infinity;
  const double magnitude = std::fabs(value);
  if (magnitude == 0) return sign;
  const Rounded r = round_magnitude(magnitude, mantissa_bits, 1 - bias);
  if (r.exponent > bias) return sign | infinity;
  const uint64_t hidden = uint64_t(1) << mantissa_bits;
  if (r.steps < hidden) return sign | uint16_t(r.steps);  // subnormal or zero
  return sign | uint16_t((uint64_t(r.exponent + bias) << mantissa_bits) | (r.steps - hidden));
}

}  // namespace

namespace {

// Rounding by the addition of integers, without branches, so that loops over it become vector code.
inline uint16_t half_of(float value) {
  const uint32_t bits = __builtin_bit_cast(uint32_t, value);
  const int32_t magnitude = int32_t(bits & 0x7fffffff);
  // Below 2^-14: added to 0.5 the value stands at the spacing of subnormal halves, rounded.
  const int32_t small =
      __builtin_bit_cast(int32_t, __builtin_bit_cast(float, magnitude) + 0.5f) - 0x3f000000;
  const int32_t normal = (magnitude - 0x38000000 + 0xfff + ((magnitude >> 13) & 1)) >> 13;
  int32_t out = magnitude < 0x38800000 ? small : normal;
  out = magnitude >= 0x47800000 ? 0x7c00 : out;  // from 2^16; what rounds up to it is there already
  out = magnitude > 0x7f800000 ? 0x7e00 : out;
  return uint16_t(uint32_t(out) | ((bits >> 16) & 0x8000));
}

inline uint16_t bfloat16_of(float value) {
  const uint32_t bits = __builtin_bit_cast(uint32_t, value);
  const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  return uint16_t(int32_t(bits & 0x7fffffff) > 0x7f800000 ? (bits >> 16) | 0x40 : rounded);
}

}  // namespace

uint16_t float_to_half(float value) { return half_of(value); }
uint16_t float_to_bfloat16(float value) { return bfloat16_of(value); }

void floats_to_halves(const float* from, uint16_t* to, int64_t count) {
  for (int64_t i = 0; i < count; ++i) to[i] = half_of(from[i]);
}
void floats_to_bfloats16(const float* from, uint16_t* to, int64_t count) {
  for (int64_t i = 0; i < count; ++i) to[i] = bfloat16_of(from[i]);
}

// Most doubles that come here are floats.
uint16_t double_to_half(double value) {
  return double(float(value)) == value ? half_of(float(value)) : encode16(value, 5, 10);
}
uint16_t double_to_bfloat16(double value) {
  return double(float(value)) == value ? bfloat16_of(float(value)) : encode16(value, 8, 7);
}

float half_to_float(uint16_t bits) {
  const uint32_t sign = uint32_t(bits & 0x8000) << 16;
  const uint32_t exponent = (bits >> 10) & 31;
  const uint32_t mantissa = bits & 1023;
  if (exponent == 0) {
    const float magnitude = float(mantissa) * 0x1p-24f;
    return sign ? -magnitude : magnitude;
  }
  const uint32_t wide = exponent == 31 ? 0x7f800000u : (exponent + 112) << 23;
  return __builtin_bit_cast(float, sign | wide | (mantissa << 13));
}

uint8_t float_to_mini(float value, const MiniFloat& f, bool saturate) {
  const int width = 1 + f.exponent_bits + f.mantissa_bits;
  const uint8_t sign_bit = uint8_t(1u << (width - 1));
  const uint8_t sign = std::signbit(value) ? sign_bit : 0;
  const uint8_t magnitude_mask = uint8_t(sign_bit - 1);
  const uint8_t top_exponent = uint8_t(((1u << f.exponent_bits) - 1) << f.mantissa_bits);
  const uint8_t nan = f.fnuz ? sign_bit
                      : f.has_infinity ? uint8_t(sign | top_exponent | (1u << (f.mantissa_bits - 1)))
                                       : uint8_t(sign | magnitude_mask);
  const uint8_t largest = !f.has_nan || f.fnuz ? magnitude_mask
                          : f.has_infinity     ? uint8_t(top_exponent - 1)
                                               : uint8_t(magnitude_mask - 1);
  const uint8_t overflow = f.has_infinity ? uint8_t(sign | top_exponent) : nan;
  // Without a NaN of its own a format gets negative zero, as converters in use give it.
  if (std::isnan(value)) return f.has_nan ? nan : sign_bit;
  if (std::isinf(value)) return saturate || !f.has_nan ? uint8_t(sign | largest) : overflow;
  const double magnitude = std::fabs(double(value));
  if (magnitude == 0) return f.fnuz ? 0 : sign;
  const Rounded r = round_magnitude(magnitude, f.mantissa_bits, 1 - f.bias);
  const uint64_t hidden = uint64_t(1) << f.mantissa_bits;
  const uint64_t code = r.steps < hidden
                            ? r.steps
                            : (uint64_t(r.exponent + f.bias) << f.mantissa_bits) + (r.steps - hidden);
  if (code > largest) return saturate || !f.has_nan ? uint8_t(sign | largest) : overflow;
  if (code == 0 && f.fnuz) return 0;
  return uint8_t(sign | code);
}

float mini_to_float(uint8_t bits, const MiniFloat& f) {
  const int width = 1 + f.exponent_bits + f.mantissa_bits;
  const uint8_t sign_bit = uint8_t(1u << (width - 1));
  const uint8_t code = bits & uint8_t(sign_bit - 1);
  const bool negative = bits & sign_bit;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  if (f.fnuz && negative && code == 0) return nan;
  const int exponent = code >> f.mantissa_bits;
  const int mantissa = code & ((1 << f.mantissa_bits) - 1);
  if (f.has_infinity && exponent == (1 << f.exponent_bits) - 1) {
    if (mantissa) return nan;
    return negative ? -std::numeric_limits<float>::infinity()
                    : std::numeric_limits<float>::infinity();
  }
  if (!f.has_infinity && f.has_nan && !f.fnuz && code == uint8_t(sign_bit - 1)) return nan;
  const float magnitude =
      exponent == 0 ? std::ldexp(float(mantissa), 1 - f.bias - f.mantissa_bits)
                    : std::ldexp(float(mantissa + (1 << f.mantissa_bits)),
                                 exponent - f.bias - f.mantissa_bits);
  return negative ? -magnitude : magnitude;
}

uint8_t float_to_e8m0(float value, bool saturate, E8M0Rounding mode) {
  if (std::isnan(value)) return 255;
  const float magnitude = std::fabs(value);
  if (std::isinf(magnitude)) return saturate ? 254 : 255;
  if (magnitude == 0) return 0;
  int exponent = 0;
  const float fraction = std::frexp(magnitude, &exponent);  // in [0.5, 1)
  int code = exponent - 1 + 127;
  const bool up = mode == E8M0Rounding::kUp        ? fraction > 0.5f
                  : mode == E8M0Rounding::kNearest ? fraction >= 0.75f
                                                   : false;
  code += up;
  if (code < 0) return 0;
  if (code > 254) return saturate ? 254 : 255;
  return uint8_t(code);
}

float e8m0_to_float(uint8_t bits) {
  if (bits == 255) return std::numeric_limits<float>::quiet_NaN();
  return std::ldexp(1.0f, int(bits) - 127);
}

}  // namespace planish
