// Softmax on blocked scores as a template over the vector type; included by attention_<isa>.cc
// only.
#pragma once

#include <limits>

#include "backend/cpu/kernels/attention/attention.h"
#include "backend/cpu/kernels/simd/math.h"

namespace planish::cpu {

template <class V>
void score_softmax(const ScoreArgs& a) {
  constexpr int W = V::kWidth;
  constexpr float kHidden = -std::numeric_limits<float>::infinity();
  const int64_t blocks = (a.keys + W - 1) / W;
  const V scale = V::set(a.scale);
  for (int64_t r = 0; r < a.rows; r++) {
    float* row = a.scores + r * W;
    int64_t seen = a.keys;
    if (a.causal && a.first_hidden + r < seen)
      seen = a.first_hidden + r > 0 ? a.first_hidden + r : 0;
    V peak = V::set(kHidden);
    for (int64_t b = 0; b < blocks; b++) {
      const int64_t left = seen - b * W;
      const int count = left >= W ? W : left > 0 ? static_cast<int>(left) : 0;
      V v = V::load(row + b * a.block) * scale;
      if (a.mask != nullptr && count > 0) {
        v = v + (count == W ? V::load(a.mask + r * a.mask_row + b * W)
                            : V::load(a.mask + r * a.mask_row + b * W, count));
      }
      if (count < W) {
        float t[W];
        v.store(t);
        for (int i = count; i < W; i++) t[i] = kHidden;
        v = V::load(t);
      }
      v.store(row + b * a.block);
      peak = max(peak, v);
    }
    const V top = V::set(largest(peak));
    V total = V::zero();
    for (int64_t b = 0; b < blocks; b++) {
      const V e = exp_or_zero(V::load(row + b * a.block) - top);
      e.store(row + b * a.block);
      total = total + e;
    }
    a.factors[r] = 1 / sum(total);
  }
}

template <class V>
void scale_score_rows(const float* sums, int64_t sums_row, const float* factors, int64_t rows,
                      int64_t n, float* output, int64_t output_row) {
  constexpr int W = V::kWidth;
  for (int64_t r = 0; r < rows; r++) {
    const V factor = V::set(factors[r]);
    int64_t i = 0;
    for (; i + W <= n; i += W)
      (V::load(sums + r * sums_row + i) * factor).store(output + r * output_row + i);
    if (i < n)
      (V::load(sums + r * sums_row + i) * factor)
          .store(output + r * output_row + i, static_cast<int>(n - i));
  }
}

template <class V>
constexpr AttentionKernels make_attention_kernels() {
  return {&score_softmax<V>, &scale_score_rows<V>};
}

}  // namespace planish::cpu
