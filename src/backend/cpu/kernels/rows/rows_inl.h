// Row kernels as templates over the vector type; included by rows_<isa>.cc only.
#pragma once

#include <cmath>
#include <limits>

#include "backend/cpu/kernels/rows/rows.h"
#include "backend/cpu/kernels/simd/math.h"

namespace planish::cpu {

// f(position, vector width) for whole vectors, then once for the rest.
template <class V, class F>
PLANISH_INLINE void for_each_vector(int64_t n, F f) {
  int64_t i = 0;
  for (; i + V::kWidth <= n; i += V::kWidth) f(i, V::kWidth);
  if (i < n) f(i, static_cast<int>(n - i));
}

template <class V>
PLANISH_INLINE V load_some(const float* p, int count) {
  return count == V::kWidth ? V::load(p) : V::load(p, count);
}

template <class V>
PLANISH_INLINE void store_some(V v, float* p, int count) {
  count == V::kWidth ? v.store(p) : v.store(p, count);
}

// v with the lanes from count on replaced by x.
template <class V>
PLANISH_INLINE V fill_rest(V v, int count, float x) {
  if (count == V::kWidth) return v;
  float t[V::kWidth];
  v.store(t);
  for (int i = count; i < V::kWidth; i++) t[i] = x;
  return V::load(t);
}

template <class V>
void softmax_row(const float* input, float* output, int64_t n) {
  V m = V::set(-std::numeric_limits<float>::infinity());
  for_each_vector<V>(n, [&](int64_t i, int count) {
    m = max(m, fill_rest(load_some<V>(input + i, count), count,
                         -std::numeric_limits<float>::infinity()));
  });
  const V peak = V::set(largest(m));
  V total = V::zero();
  for_each_vector<V>(n, [&](int64_t i, int count) {
    const V e = exp_or_zero(load_some<V>(input + i, count) - peak);
    store_some(e, output + i, count);
    total = total + fill_rest(e, count, 0);
  });
  const V factor = V::set(1 / sum(total));
  for_each_vector<V>(n, [&](int64_t i, int count) {
    store_some(load_some<V>(output + i, count) * factor, output + i, count);
  });
}

template <class V, bool Center>
void normalize_row(const NormArgs& a, int64_t row) {
  const float* input = a.input + row * a.n;
  const float* residual = a.residual != nullptr ? a.residual + row * a.n : nullptr;
  float* output = a.output + row * a.n;
  V total = V::zero();
  for_each_vector<V>(a.n, [&](int64_t i, int count) {
    V v = load_some<V>(input + i, count);
    if (residual != nullptr) v = v + load_some<V>(residual + i, count);
    store_some(v, output + i, count);
    total = total + v;
  });
  const float count_inverse = 1 / static_cast<float>(a.n);
  const V mean = Center ? V::set(sum(total) * count_inverse) : V::zero();
  V squares = V::zero();
  for_each_vector<V>(a.n, [&](int64_t i, int count) {
    const V d = fill_rest(load_some<V>(output + i, count) - mean, count, 0);
    squares = fma(d, d, squares);
  });
  const V factor = V::set(1 / std::sqrt(sum(squares) * count_inverse + a.epsilon));
  for_each_vector<V>(a.n, [&](int64_t i, int count) {
    V v = (load_some<V>(output + i, count) - mean) * factor;
    if (a.scale != nullptr) v = v * load_some<V>(a.scale + i, count);
    if (a.bias != nullptr) v = v + load_some<V>(a.bias + i, count);
    store_some(v, output + i, count);
  });
}

// Four accumulators hide the latency of an addition.
template <class V, Reduction Kind>
float reduce_row(const float* input, int64_t n) {
  constexpr bool kPeak = Kind == Reduction::kMax || Kind == Reduction::kMin;
  constexpr float kSign = Kind == Reduction::kMin ? -1.f : 1.f;
  const V start = kPeak ? V::set(-std::numeric_limits<float>::infinity()) : V::zero();
  V acc[4] = {start, start, start, start};
  V poison = V::zero();  // becomes NaN where an input is: a maximum alone would lose it
  auto take = [&](V& a, V v) {
    if constexpr (kPeak) {
      a = max(a, v * V::set(kSign));
      poison = poison + (v - v);
    } else if constexpr (Kind == Reduction::kSumAbs) {
      a = a + abs(v);
    } else if constexpr (Kind == Reduction::kSumSquares) {
      a = fma(v, v, a);
    } else {
      a = a + v;
    }
  };
  int64_t i = 0;
  for (; i + 4 * V::kWidth <= n; i += 4 * V::kWidth) {
    for (int k = 0; k < 4; k++) take(acc[k], V::load(input + i + k * V::kWidth));
  }
  for (; i < n; i += V::kWidth) {
    const int count = n - i < V::kWidth ? static_cast<int>(n - i) : V::kWidth;
    V v = load_some<V>(input + i, count);
    if constexpr (kPeak) v = fill_rest(v, count, input[i]);
    take(acc[0], v);
  }
  if constexpr (kPeak) {
    // The poison of an infinity is no reason to answer NaN; look again.
    const float p = sum(poison);
    if (p != p) {
      for (int64_t k = 0; k < n; k++) {
        if (input[k] != input[k]) return input[k];
      }
    }
    return kSign * largest(max(max(acc[0], acc[1]), max(acc[2], acc[3])));
  } else {
    const float s = sum((acc[0] + acc[1]) + (acc[2] + acc[3]));
    return Kind == Reduction::kMean ? s / static_cast<float>(n) : s;
  }
}

template <class V, Unary Kind>
PLANISH_INLINE V apply_unary(V x) {
  const V half = V::set(0.5f);
  if constexpr (Kind == Unary::kExp) return exp(x);
  if constexpr (Kind == Unary::kTanh) return tanh(x);
  if constexpr (Kind == Unary::kErf) return erf(x);
  if constexpr (Kind == Unary::kSigmoid) return sigmoid(x);
  if constexpr (Kind == Unary::kSilu) return x * sigmoid(x);
  if constexpr (Kind == Unary::kGelu) return fma(half * x, erf(x * V::set(0.707106781f)), half * x);
  if constexpr (Kind == Unary::kGeluTanh) {
    const V inner = V::set(0.797884561f) * fma(V::set(0.044715f) * x * x, x, x);
    return fma(half * x, tanh(inner), half * x);
  }
}

template <class V, Unary Kind>
void unary_row(const float* input, float* output, int64_t n) {
  for_each_vector<V>(n, [&](int64_t i, int count) {
    store_some(apply_unary<V, Kind>(load_some<V>(input + i, count)), output + i, count);
  });
}

template <class V>
RowKernels make_rows_kernels() {
  return {&softmax_row<V>,
          &normalize_row<V, true>,
          &normalize_row<V, false>,
          {&reduce_row<V, Reduction::kSum>, &reduce_row<V, Reduction::kMean>,
           &reduce_row<V, Reduction::kMax>, &reduce_row<V, Reduction::kMin>,
           &reduce_row<V, Reduction::kSumAbs>, &reduce_row<V, Reduction::kSumSquares>},
          {&unary_row<V, Unary::kExp>, &unary_row<V, Unary::kTanh>, &unary_row<V, Unary::kErf>,
           &unary_row<V, Unary::kSigmoid>, &unary_row<V, Unary::kGelu>,
           &unary_row<V, Unary::kGeluTanh>, &unary_row<V, Unary::kSilu>}};
}

}  // namespace planish::cpu
