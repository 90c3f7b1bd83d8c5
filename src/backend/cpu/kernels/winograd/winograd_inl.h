// Winograd transforms as templates over the vector type; included by winograd_<isa>.cc only.
// Points: F(4,3) 0, +-1, +-2, infinity; F(6,3) 0, +-1, +-2, +-1/2, infinity (Lavin and Gray, 2015,
// section 4).
#pragma once

#include "backend/cpu/kernels/simd/vec.h"
#include "backend/cpu/kernels/winograd/winograd.h"

namespace planish::cpu {

template <class V>
PLANISH_INLINE V fma(float k, V x, V y) {
  return fma(V::set(k), x, y);
}

// One-dimensional transforms of F(M,3): N = M + 2 points.
template <class V, int M>
struct WinogradPoints;

template <class V>
struct WinogradPoints<V, 4> {
  static PLANISH_INLINE void input(const V* d, V* o) {
    const V a = fma(-4.f, d[2], d[4]), b = fma(-4.f, d[1], d[3]), c = d[4] - d[2], e = d[3] - d[1];
    o[0] = fma(4.f, d[0], fma(-5.f, d[2], d[4]));
    o[1] = a + b;
    o[2] = a - b;
    o[3] = fma(2.f, e, c);
    o[4] = fma(-2.f, e, c);
    o[5] = fma(4.f, d[1], fma(-5.f, d[3], d[5]));
  }
  static PLANISH_INLINE void filter(const V* g, V* o) {
    const V s = (g[0] + g[2]) * V::set(-1.f / 6), t = fma(4.f, g[2], g[0]) * V::set(1.f / 24);
    o[0] = g[0] * V::set(0.25f);
    o[1] = fma(-1.f / 6, g[1], s);
    o[2] = fma(1.f / 6, g[1], s);
    o[3] = fma(1.f / 12, g[1], t);
    o[4] = fma(-1.f / 12, g[1], t);
    o[5] = g[2];
  }
  static PLANISH_INLINE void output(const V* m, V* o) {
    const V s = m[1] + m[2], d = m[1] - m[2], s2 = m[3] + m[4], d2 = m[3] - m[4];
    o[0] = m[0] + s + s2;
    o[1] = fma(2.f, d2, d);
    o[2] = fma(4.f, s2, s);
    o[3] = fma(8.f, d2, d) + m[5];
  }
};

template <class V>
struct WinogradPoints<V, 6> {
  static PLANISH_INLINE void input(const V* d, V* o) {
    o[0] = fma(5.25f, d[4] - d[2], d[0] - d[6]);
    o[7] = fma(5.25f, d[3] - d[5], d[7] - d[1]);
    V a = fma(-4.25f, d[4], d[2] + d[6]), b = fma(-4.25f, d[3], d[1] + d[5]);
    o[1] = a + b;
    o[2] = a - b;
    a = fma(0.25f, d[2], fma(-1.25f, d[4], d[6]));
    b = fma(0.5f, d[1], fma(-2.5f, d[3], d[5] + d[5]));
    o[3] = a + b;
    o[4] = a - b;
    a = fma(4.f, d[2], fma(-5.f, d[4], d[6]));
    b = fma(2.f, d[1], fma(-2.5f, d[3], V::set(0.5f) * d[5]));
    o[5] = a + b;
    o[6] = a - b;
  }
  static PLANISH_INLINE void filter(const V* g, V* o) {
    V a = (g[0] + g[2]) * V::set(-2.f / 9), b = g[1] * V::set(-2.f / 9);
    o[0] = g[0];
    o[1] = a + b;
    o[2] = a - b;
    o[7] = g[2];
    a = fma(4.f, g[2], g[0]) * V::set(1.f / 90);
    b = g[1] * V::set(2.f / 90);
    o[3] = a + b;
    o[4] = a - b;
    a = fma(4.f, g[0], g[2]) * V::set(8.f / 45);
    b = g[1] * V::set(16.f / 45);
    o[5] = a + b;
    o[6] = a - b;
  }
  static PLANISH_INLINE void output(const V* m, V* o) {
    const V s1 = m[1] + m[2], d1 = m[1] - m[2], s2 = m[3] + m[4], d2 = m[3] - m[4];
    const V s3 = m[5] + m[6], d3 = m[5] - m[6];
    o[0] = m[0] + s1 + s2 + s3;
    o[1] = fma(2.f, d2, fma(0.5f, d3, d1));
    o[2] = fma(4.f, s2, fma(0.25f, s3, s1));
    o[3] = fma(8.f, d2, fma(0.125f, d3, d1));
    o[4] = fma(16.f, s2, fma(0.0625f, s3, s1));
    o[5] = fma(32.f, d2, fma(0.03125f, d3, d1)) + m[7];
  }
};

template <class V, int M>
void winograd_input(const float* plane, int64_t height, int64_t width, int64_t y0, int64_t x0,
                    float* out, int64_t stride) {
  constexpr int N = M + 2, W = V::kWidth;
  V t[N][N], d[N], o[N];
  const bool inside = y0 >= 0 && x0 >= 0 && y0 + N <= height && x0 + N <= width;
  for (int x = 0; x < N; x++) {
    if (inside) {
      const float* p = plane + (y0 * width + x0 + x) * W;
      PLANISH_UNROLL(8) for (int y = 0; y < N; y++) d[y] = V::load(p + y * width * W);
    } else {
      for (int y = 0; y < N; y++) {
        const bool here = y0 + y >= 0 && y0 + y < height && x0 + x >= 0 && x0 + x < width;
        d[y] = here ? V::load(plane + ((y0 + y) * width + x0 + x) * W) : V::zero();
      }
    }
    WinogradPoints<V, M>::input(d, o);
    PLANISH_UNROLL(8) for (int y = 0; y < N; y++) t[y][x] = o[y];
  }
  for (int y = 0; y < N; y++) {
    WinogradPoints<V, M>::input(t[y], o);
    PLANISH_UNROLL(8) for (int x = 0; x < N; x++) o[x].store(out + (y * N + x) * stride);
  }
}

template <class V, int M>
void winograd_filter(const float* filters, int64_t count, int j_blocks, float* out,
                     int64_t stride) {
  constexpr int N = M + 2, W = V::kWidth;
  const int64_t lanes = j_blocks * W;
  for (int64_t i = 0; i < count * j_blocks; i++) {
    const float* g = filters + i / j_blocks * 9 * lanes + i % j_blocks * W;
    V t[N][3], d[3], o[N];
    for (int x = 0; x < 3; x++) {
      PLANISH_UNROLL(3) for (int y = 0; y < 3; y++) d[y] = V::load(g + (y * 3 + x) * lanes);
      WinogradPoints<V, M>::filter(d, o);
      PLANISH_UNROLL(8) for (int y = 0; y < N; y++) t[y][x] = o[y];
    }
    for (int y = 0; y < N; y++) {
      WinogradPoints<V, M>::filter(t[y], o);
      PLANISH_UNROLL(8) for (int x = 0; x < N; x++) o[x].store(out + (y * N + x) * stride + i * W);
    }
  }
}

template <class V, int M>
void winograd_output(const WinogradOutputArgs& a) {
  constexpr int N = M + 2, W = V::kWidth;
  V t[M][N], d[N], o[M];
  for (int x = 0; x < N; x++) {
    PLANISH_UNROLL(8)
    for (int y = 0; y < N; y++) d[y] = V::load(a.points + (y * N + x) * a.points_stride);
    WinogradPoints<V, M>::output(d, o);
    PLANISH_UNROLL(8) for (int y = 0; y < M; y++) t[y][x] = o[y];
  }
  const V bias = a.bias != nullptr ? V::load(a.bias) : V::zero(), lo = V::set(a.lo),
          hi = V::set(a.hi);
  for (int y = 0; y < a.rows; y++) {
    WinogradPoints<V, M>::output(t[y], o);
    for (int x = 0; x < a.columns; x++) {
      V v = o[x] + bias;
      if (a.residual != nullptr) v = v + V::load(a.residual + y * a.row + x * W);
      min(hi, max(lo, v)).store(a.output + y * a.row + x * W);
    }
  }
}

template <class V>
WinogradKernels make_winograd_kernels() {
  return {{&winograd_input<V, 4>, &winograd_input<V, 6>},
          {&winograd_filter<V, 4>, &winograd_filter<V, 6>},
          {&winograd_output<V, 4>, &winograd_output<V, 6>}};
}

}  // namespace planish::cpu
