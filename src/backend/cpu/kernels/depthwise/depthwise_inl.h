// The depthwise row as a template over the vector type; included by depthwise_<isa>.cc only.
#pragma once

#include "backend/cpu/kernels/depthwise/depthwise.h"
#include "backend/cpu/kernels/simd/vec.h"

namespace planish::cpu {

template <class V>
PLANISH_INLINE void finish_depthwise(const DepthwiseRowArgs& a, int64_t x, V v) {
  constexpr int W = V::kWidth;
  if (a.residual != nullptr) v = v + V::load(a.residual + x * W);
  min(V::set(a.hi), max(V::set(a.lo), v)).store(a.output + x * W);
}

// One output, any filter, taps outside the row left out.
template <class V>
void depthwise_pixel(const DepthwiseRowArgs& a, int64_t x) {
  constexpr int W = V::kWidth;
  V acc = a.bias != nullptr ? V::load(a.bias) : V::zero();
  for (int i = 0; i < a.kernel_height; i++) {
    if (a.rows[i] == nullptr) continue;
    for (int j = 0; j < a.kernel_width; j++) {
      const int64_t column = x * a.stride - a.pad_left + j * a.dilation;
      if (column < 0 || column >= a.in_width) continue;
      acc = fma(V::load(a.rows[i] + column * W), V::load(a.weights + (i * a.kernel_width + j) * W),
                acc);
    }
  }
  finish_depthwise(a, x, acc);
}

// N neighbouring outputs whose taps are all inside; every input vector is loaded once per filter
// row.
template <class V, int Kernel, int Stride, int N>
PLANISH_NOINLINE void depthwise_run(const DepthwiseRowArgs& a, int64_t x) {
  constexpr int W = V::kWidth;
  V acc[N];
  const V bias = a.bias != nullptr ? V::load(a.bias) : V::zero();
  PLANISH_UNROLL(8) for (int i = 0; i < N; i++) acc[i] = bias;
  for (int y = 0; y < a.kernel_height; y++) {
    if (a.rows[y] == nullptr) continue;
    const float* p = a.rows[y] + (x * Stride - a.pad_left) * W;
    V w[Kernel];
    PLANISH_UNROLL(5)
    for (int d = 0; d < Kernel; d++) w[d] = V::load(a.weights + (y * Kernel + d) * W);
    PLANISH_UNROLL(32) for (int c = 0; c < (N - 1) * Stride + Kernel; c++) {
      const V v = V::load(p + c * W);
      PLANISH_UNROLL(5) for (int d = 0; d < Kernel; d++) {
        if (c >= d && (c - d) % Stride == 0 && (c - d) / Stride < N) {
          acc[(c - d) / Stride] = fma(v, w[d], acc[(c - d) / Stride]);
        }
      }
    }
  }
  PLANISH_UNROLL(8) for (int i = 0; i < N; i++) finish_depthwise(a, x + i, acc[i]);
}

template <class V, int Kernel, int Stride>
void depthwise_interior(const DepthwiseRowArgs& a, int64_t x, int64_t end) {
  for (; x + 7 <= end; x += 7) depthwise_run<V, Kernel, Stride, 7>(a, x);
  if (x + 4 <= end) depthwise_run<V, Kernel, Stride, 4>(a, x), x += 4;
  if (x + 2 <= end) depthwise_run<V, Kernel, Stride, 2>(a, x), x += 2;
  if (x < end) depthwise_run<V, Kernel, Stride, 1>(a, x);
}

template <class V>
void depthwise_row(const DepthwiseRowArgs& a) {
  using Interior = void (*)(const DepthwiseRowArgs&, int64_t, int64_t);
  Interior interior = nullptr;
  if (a.dilation == 1 && a.kernel_width == 3) {
    interior = a.stride == 1   ? &depthwise_interior<V, 3, 1>
               : a.stride == 2 ? &depthwise_interior<V, 3, 2>
                               : nullptr;
  } else if (a.dilation == 1 && a.kernel_width == 5) {
    interior = a.stride == 1   ? &depthwise_interior<V, 5, 1>
               : a.stride == 2 ? &depthwise_interior<V, 5, 2>
                               : nullptr;
  }
  // [begin, end): outputs whose taps are all inside.
  int64_t begin = a.out_width, end = a.out_width;
  const int64_t room = a.in_width - 1 - (a.kernel_width - 1) * a.dilation + a.pad_left;
  if (interior != nullptr && room >= 0) {
    begin = (a.pad_left + a.stride - 1) / a.stride;
    if (begin > a.out_width) begin = a.out_width;
    end = room / a.stride + 1;
    if (end > a.out_width) end = a.out_width;
    if (end < begin) end = begin;
  }
  for (int64_t x = 0; x < begin; x++) depthwise_pixel<V>(a, x);
  if (begin < end) interior(a, begin, end);
  for (int64_t x = end; x < a.out_width; x++) depthwise_pixel<V>(a, x);
}

template <class V>
constexpr DepthwiseKernels make_depthwise_kernels() {
  return {&depthwise_row<V>};
}

}  // namespace planish::cpu
