// The discrete Fourier transform of one line of complex numbers, in double.
#pragma once
#include <complex>
#include <vector>

namespace planish::ops {

// X[k] = sum over n of x[n] e^(-2 pi i k n / N), with +2 pi i when `inverse` (not divided by N).
// Any length: Cooley-Tukey over its prime factors, O(N * sum of the factors); a length with a large
// prime factor goes through Bluestein's chirp, O(N log N).
std::vector<std::complex<double>> fourier(const std::vector<std::complex<double>>& x, bool inverse);

}  // namespace planish::ops
