// The narrow floating-point formats, exhaustively: every code read back, every conversion compared
// with a search for the nearest code.
#include "base/float_types.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace planish {
namespace {

// The value of a half by the definition of the format.
double half_by_definition(uint16_t bits) {
  const int exponent = (bits >> 10) & 31, mantissa = bits & 1023;
  const double sign = bits & 0x8000 ? -1 : 1;
  if (exponent == 31) return mantissa ? NAN : sign * INFINITY;
  if (exponent == 0) return sign * std::ldexp(mantissa, -24);
  return sign * std::ldexp(1024 + mantissa, exponent - 25);
}

TEST(FloatTypes, EveryHalfReadsAndWritesBack) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const double expected = half_by_definition(uint16_t(bits));
    const float got = half_to_float(uint16_t(bits));
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(got)) << bits;
      ASSERT_TRUE(std::isnan(half_to_float(float_to_half(got)))) << bits;
      continue;
    }
    ASSERT_EQ(double(got), expected) << bits;
    ASSERT_EQ(std::signbit(got), std::signbit(expected)) << bits;
    ASSERT_EQ(float_to_half(got), bits);
    ASSERT_EQ(double_to_half(expected), bits);
  }
}

TEST(FloatTypes, HalvesRoundToNearestEven) {
  // The middle between neighbours goes to the even one, what is beside it to the nearer one.
  for (uint32_t bits = 0; bits + 1 < 0x7c00; ++bits) {
    const double low = half_by_definition(uint16_t(bits));
    const double high = half_by_definition(uint16_t(bits + 1));
    const double middle = (low + high) / 2;
    const uint16_t even = uint16_t(bits % 2 ? bits + 1 : bits);
    ASSERT_EQ(double_to_half(middle), even) << bits;
    ASSERT_EQ(float_to_half(float(middle)), even) << bits;
    ASSERT_EQ(double_to_half(std::nextafter(middle, 1e9)), bits + 1) << bits;
    ASSERT_EQ(double_to_half(std::nextafter(middle, -1e9)), bits) << bits;
    ASSERT_EQ(double_to_half(-middle), even | 0x8000) << bits;
  }
  EXPECT_EQ(float_to_half(65519.0f), 0x7bff);
  EXPECT_EQ(float_to_half(65520.0f), 0x7c00);
  EXPECT_EQ(float_to_half(INFINITY), 0x7c00);
  // Rounding once: through float this double would land on the other neighbour.
  const double tie = 1 + 0x1p-11;
  EXPECT_EQ(double_to_half(tie + 0x1p-40), 0x3c01);
  EXPECT_EQ(double_to_half(tie), 0x3c00);
}

TEST(FloatTypes, ManyAtOnceAreTheSameBitsAsOneByOne) {
  // Every pattern of the upper bits with lower bits around the ties of both formats, NaN and infinities
  // among them, in blocks with a tail.
  std::vector<float> values;
  for (uint32_t upper = 0; upper < 0x10000; upper += 3)
    for (const uint32_t lower : {0u, 1u, 0x0fffu, 0x1000u, 0x1001u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu})
      values.push_back(__builtin_bit_cast(float, upper << 16 | lower));
  values.resize(values.size() / 16 * 16 + 7);
  std::vector<uint16_t> halves(values.size()), bfloats(values.size());
  floats_to_halves(values.data(), halves.data(), int64_t(values.size()));
  floats_to_bfloats16(values.data(), bfloats.data(), int64_t(values.size()));
  for (size_t i = 0; i < values.size(); ++i) {
    ASSERT_EQ(halves[i], float_to_half(values[i])) << values[i];
    ASSERT_EQ(bfloats[i], float_to_bfloat16(values[i])) << values[i];
  }
}

TEST(FloatTypes, BfloatsAreTheUpperHalfOfFloats) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const float value = bfloat16_to_float(uint16_t(bits));
    if (std::isnan(value)) {
      ASSERT_TRUE(std::isnan(bfloat16_to_float(float_to_bfloat16(value))));
      continue;
    }
    ASSERT_EQ(float_to_bfloat16(value), bits);
    ASSERT_EQ(double_to_bfloat16(double(value)), bits);
  }
  EXPECT_EQ(float_to_bfloat16(1 + 0x1p-8f), 0x3f80);
  EXPECT_EQ(float_to_bfloat16(1 + 3 * 0x1p-8f), 0x3f82);
  EXPECT_EQ(double_to_bfloat16(1 + 0x1p-8 + 0x1p-40), 0x3f81);
}

struct Named {
  const char* name;
  MiniFloat format;
  int bits;
  double largest;
};
const Named kMinis[] = {
    {"e4m3fn", kF8E4M3Fn, 8, 448},       {"e5m2", kF8E5M2, 8, 57344},
    {"e4m3fnuz", kF8E4M3Fnuz, 8, 240},   {"e5m2fnuz", kF8E5M2Fnuz, 8, 57344},
    {"e2m1", kF4E2M1, 4, 6},
};

TEST(FloatTypes, EveryMiniReadsAndWritesBack) {
  for (const Named& mini : kMinis) {
    double largest = 0;
    for (int code = 0; code < 1 << mini.bits; ++code) {
      const float value = mini_to_float(uint8_t(code), mini.format);
      const uint8_t back = float_to_mini(value, mini.format, false);
      if (std::isnan(value)) {
        EXPECT_TRUE(std::isnan(mini_to_float(back, mini.format))) << mini.name << " " << code;
        continue;
      }
      EXPECT_EQ(int(back), code) << mini.name;
      if (std::isfinite(value)) largest = std::max(largest, std::fabs(double(value)));
    }
    EXPECT_EQ(largest, mini.largest) << mini.name;
  }
}

TEST(FloatTypes, MinisRoundToTheNearestCode) {
  std::mt19937 random(3);
  for (const Named& mini : kMinis) {
    std::vector<double> finite;
    for (int code = 0; code < 1 << (mini.bits - 1); ++code) {
      const float value = mini_to_float(uint8_t(code), mini.format);
      if (std::isfinite(value)) finite.push_back(value);
    }
    std::uniform_real_distribution<double> exponent(-20, 17);
    for (int i = 0; i < 20000; ++i) {
      const float x = float(std::exp2(exponent(random)));
      const double got = mini_to_float(float_to_mini(x, mini.format, true), mini.format);
      double nearest = finite[0];
      for (double v : finite)
        if (std::fabs(v - x) < std::fabs(nearest - x)) nearest = v;
      // The nearest code, or its equal on the other side of a tie.
      EXPECT_EQ(std::fabs(got - x), std::fabs(nearest - x)) << mini.name << " " << x;
      EXPECT_EQ(mini_to_float(float_to_mini(-x, mini.format, true), mini.format), -got);
    }
    const auto at = [&](int code) { return double(mini_to_float(uint8_t(code), mini.format)); };
    for (int code = 0; code + 1 < int(finite.size()); ++code) {
      const float middle = float((at(code) + at(code + 1)) / 2);
      EXPECT_EQ(int(float_to_mini(middle, mini.format)), code % 2 ? code + 1 : code) << mini.name;
    }
  }
}

TEST(FloatTypes, MinisSaturateOrOverflow) {
  EXPECT_EQ(mini_to_float(float_to_mini(1e9f, kF8E4M3Fn, true), kF8E4M3Fn), 448);
  EXPECT_TRUE(std::isnan(mini_to_float(float_to_mini(1e9f, kF8E4M3Fn, false), kF8E4M3Fn)));
  EXPECT_EQ(mini_to_float(float_to_mini(-1e9f, kF8E5M2, true), kF8E5M2), -57344);
  EXPECT_EQ(mini_to_float(float_to_mini(-1e9f, kF8E5M2, false), kF8E5M2), -INFINITY);
  EXPECT_TRUE(std::isnan(mini_to_float(float_to_mini(1e9f, kF8E5M2Fnuz, false), kF8E5M2Fnuz)));
  EXPECT_EQ(mini_to_float(float_to_mini(1e9f, kF4E2M1, false), kF4E2M1), 6);
  for (const Named& mini : kMinis) {
    if (!mini.format.has_nan) continue;
    EXPECT_TRUE(std::isnan(mini_to_float(float_to_mini(NAN, mini.format), mini.format)));
  }
  EXPECT_EQ(float_to_mini(-0.0f, kF8E4M3Fnuz), 0);  // its code of -0 is NaN
  EXPECT_EQ(float_to_mini(-1e-9f, kF8E4M3Fnuz), 0);
  EXPECT_EQ(float_to_mini(-0.0f, kF8E4M3Fn), 0x80);
}

TEST(FloatTypes, ScalesArePowersOfTwo) {
  for (int code = 0; code < 255; ++code) {
    const float value = e8m0_to_float(uint8_t(code));
    EXPECT_EQ(std::log2(double(value)), code - 127);
    for (auto mode : {E8M0Rounding::kUp, E8M0Rounding::kDown, E8M0Rounding::kNearest})
      EXPECT_EQ(int(float_to_e8m0(value, true, mode)), code);
  }
  EXPECT_TRUE(std::isnan(e8m0_to_float(255)));
  EXPECT_EQ(e8m0_to_float(float_to_e8m0(3, true, E8M0Rounding::kUp)), 4);
  EXPECT_EQ(e8m0_to_float(float_to_e8m0(3, true, E8M0Rounding::kDown)), 2);
  EXPECT_EQ(e8m0_to_float(float_to_e8m0(2.9f, true, E8M0Rounding::kNearest)), 2);
  EXPECT_EQ(e8m0_to_float(float_to_e8m0(3.1f, true, E8M0Rounding::kNearest)), 4);
}

}  // namespace
}  // namespace planish
