// Linear interpolation at a fractional position of a 2-D image, with zeros outside: what DeformConv
// samples with.
#pragma once
#include <cmath>
#include <cstdint>

namespace planish::ops {

inline double bilinear_with_zeros(const double* image, int64_t height, int64_t width, double y,
                                  double x) {
  // Written so that NaN and far positions give 0 before any conversion to an integer.
  if (!(y > -1 && y < double(height) && x > -1 && x < double(width))) return 0;
  int64_t y0 = int64_t(std::floor(y)), x0 = int64_t(std::floor(x));
  double fy = y - double(y0), fx = x - double(x0);
  auto at = [&](int64_t row, int64_t column) {
    return row >= 0 && row < height && column >= 0 && column < width ? image[row * width + column]
                                                                     : 0.0;
  };
  return (1 - fy) * ((1 - fx) * at(y0, x0) + fx * at(y0, x0 + 1)) +
         fy * ((1 - fx) * at(y0 + 1, x0) + fx * at(y0 + 1, x0 + 1));
}

}  // namespace planish::ops
