#include "ops/fourier.h"

#include <cmath>
#include <cstdint>
#include <numbers>

namespace planish::ops {
namespace {

using Complex = std::complex<double>;
using Line = std::vector<Complex>;

// Over this a prime factor's direct sum costs more than the chirp.
constexpr size_t kLargestDirectFactor = 61;

// e^(2 pi i sign k / n); k is reduced first, so that the angle stays accurate.
Complex root(size_t k, size_t n, double sign) {
  const double angle = 2 * std::numbers::pi * double(k % n) / double(n);
  return {std::cos(angle), sign * std::sin(angle)};
}

size_t smallest_factor(size_t n) {
  for (size_t f = 2; f * f <= n; ++f) {
    if (n % f == 0) return f;
  }
  return n;
}

Line transform(const Line& x, double sign);

// X = sum over f residues r of (the transform of every f-th element from r) * root^(r k).
Line split_transform(const Line& x, size_t factor, double sign) {
  const size_t n = x.size(), m = n / factor;
  std::vector<Line> parts(factor);
  for (size_t r = 0; r < factor; ++r) {
    Line part(m);
    for (size_t i = 0; i < m; ++i) part[i] = x[i * factor + r];
    parts[r] = m == 1 ? part : transform(part, sign);
  }
  Line roots(n);
  for (size_t k = 0; k < n; ++k) roots[k] = root(k, n, sign);
  Line out(n);
  for (size_t k = 0; k < n; ++k) {
    for (size_t r = 0; r < factor; ++r) out[k] += roots[r * k % n] * parts[r][k % m];
  }
  return out;
}

// kn = (k^2 + n^2 - (k - n)^2) / 2 turns the sum into a convolution, done with a power of two.
Line chirp_transform(const Line& x, double sign) {
  const size_t n = x.size();
  size_t padded = 1;
  while (padded < 2 * n - 1) padded *= 2;
  Line chirp(n), a(padded), b(padded);
  for (size_t k = 0; k < n; ++k) {
    chirp[k] = root(size_t((unsigned __int128)(k)*k % (2 * n)), 2 * n, sign);
    a[k] = x[k] * chirp[k];
    b[k] = std::conj(chirp[k]);
    if (k) b[padded - k] = b[k];
  }
  a = transform(a, -1);
  b = transform(b, -1);
  for (size_t k = 0; k < padded; ++k) a[k] *= b[k];
  a = transform(a, 1);
  Line out(n);
  for (size_t k = 0; k < n; ++k) out[k] = a[k] / double(padded) * chirp[k];
  return out;
}

Line transform(const Line& x, double sign) {
  if (x.size() < 2) return x;
  const size_t factor = smallest_factor(x.size());
  return factor > kLargestDirectFactor ? chirp_transform(x, sign)
                                       : split_transform(x, factor, sign);
}

}  // namespace

Line fourier(const Line& x, bool inverse) { return transform(x, inverse ? 1 : -1); }

}  // namespace planish::ops
