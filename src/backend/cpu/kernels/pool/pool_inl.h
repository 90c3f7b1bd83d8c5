// Pooling rows as templates over the vector type; included by pool_<isa>.cc only.
#pragma once

#include <limits>

#include "backend/cpu/kernels/pool/pool.h"
#include "backend/cpu/kernels/simd/vec.h"

namespace planish::cpu {

template <class V, bool Maximum>
void pool_row(const PoolRowArgs& a) {
  constexpr int W = V::kWidth;
  for (int64_t x = 0; x < a.out_width; x++) {
    const int64_t first = x * a.stride - a.pad_left;
    int begin = 0, end = a.kernel_width;
    while (begin < end && first + begin * a.dilation < 0) begin++;
    while (end > begin && first + (end - 1) * a.dilation >= a.in_width) end--;
    V acc = Maximum ? V::set(-std::numeric_limits<float>::infinity()) : V::zero();
    V poison =
        V::zero();  // x - x is NaN for NaN and for infinities; the maximum is taken again for those
    for (int r = 0; r < a.row_count; r++) {
      for (int k = begin; k < end; k++) {
        const V v = V::load(a.rows[r] + (first + k * a.dilation) * W);
        if constexpr (Maximum) {
          acc = max(acc, v);
          poison = poison + (v - v);
        } else {
          acc = acc + v;
        }
      }
    }
    if constexpr (Maximum) {
      const float p = sum(poison);
      if (p != p) {
        float t[W];
        acc.store(t);
        for (int r = 0; r < a.row_count; r++) {
          for (int k = begin; k < end; k++) {
            const float* v = a.rows[r] + (first + k * a.dilation) * W;
            for (int i = 0; i < W; i++)
              t[i] = v[i] != v[i] || t[i] != t[i] ? v[i] + t[i] : (v[i] > t[i] ? v[i] : t[i]);
          }
        }
        acc = V::load(t);
      }
    } else {
      const int count = a.row_count * (end - begin);
      const float scale = a.scale != 0 ? a.scale : count > 0 ? 1 / static_cast<float>(count) : 0;
      acc = acc * V::set(scale);
    }
    acc.store(a.output + x * W);
  }
}

template <class V>
void pool_mean(const float* input, int64_t pixels, float* output) {
  constexpr int W = V::kWidth;
  V acc[4] = {V::zero(), V::zero(), V::zero(), V::zero()};
  int64_t i = 0;
  for (; i + 4 <= pixels; i += 4) {
    PLANISH_UNROLL(4) for (int k = 0; k < 4; k++) acc[k] = acc[k] + V::load(input + (i + k) * W);
  }
  for (; i < pixels; i++) acc[0] = acc[0] + V::load(input + i * W);
  (((acc[0] + acc[1]) + (acc[2] + acc[3])) * V::set(1 / static_cast<float>(pixels))).store(output);
}

template <class V>
constexpr PoolKernels make_pool_kernels() {
  return {&pool_row<V, true>, &pool_row<V, false>, &pool_mean<V>};
}

}  // namespace planish::cpu
