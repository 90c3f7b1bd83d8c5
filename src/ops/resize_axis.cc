#include "ops/resize_axis.h"

#include <algorithm>
#include <cmath>

namespace planish::ops {

Dim scaled_size(const Dim& size, double scale) {
  // The shortest fraction that reads as the same float.
  for (int64_t q = 1; q <= 1024; ++q) {
    double p = std::nearbyint(scale * double(q));
    if (p >= 1 && p < 9e15 && float(p / double(q)) == float(scale))
      return floordiv(size * Dim(int64_t(p)), Dim(q));
  }
  int exponent = 0;
  double mantissa = std::frexp(scale, &exponent);  // scale = mantissa * 2^exponent
  int64_t p = int64_t(std::ldexp(mantissa, 24));
  int shift = 24 - exponent;
  if (shift <= 0) return shift < -30 ? Dim::invalid() : size * Dim(p << -shift);
  if (shift > 62) return Dim(0);
  return floordiv(size * Dim(p), Dim(int64_t(1) << shift));
}

void saturate_to(ir::DataType dtype, std::vector<double>& values) {
  int bits = ir::bits_of(dtype);
  double low = 0, high = 1;
  if (dtype != ir::DataType::kBool) {
    bool is_signed = ir::is_signed_int(dtype);
    high = std::ldexp(1.0, is_signed ? bits - 1 : bits) - 1;
    low = is_signed ? -std::ldexp(1.0, bits - 1) : 0;
    // Doubles near 2^63 and 2^64 would not convert back.
    if (bits == 64) high = std::nextafter(std::ldexp(1.0, is_signed ? 63 : 64), 0.0);
  }
  for (double& v : values) v = std::isnan(v) ? 0 : std::clamp(std::nearbyint(v), low, high);
}

}  // namespace planish::ops
