// The register tile as a template over the vector type; included by tile_<isa>.cc only.
#pragma once

#include <utility>

#include "backend/cpu/kernels/simd/vec.h"
#include "backend/cpu/kernels/tile/tile.h"

namespace planish::cpu {

template <class V, int Rows, int J>
PLANISH_INLINE void finish_tile(const TileArgs& t, V (&acc)[Rows][J]) {
  constexpr int W = V::kWidth;
  if (t.partial_out != nullptr) {
    PLANISH_UNROLL(16) for (int r = 0; r < Rows; r++) {
      float* sums = t.partial_out + r * J * W;
      PLANISH_UNROLL(4) for (int j = 0; j < J; j++) acc[r][j].store(sums + j * W);
    }
    return;
  }
  if (t.residual != nullptr) {
    PLANISH_UNROLL(4) for (int j = 0; j < J; j++) {
      const float* residual = t.residual + j * t.residual_block;
      PLANISH_UNROLL(16) for (int r = 0; r < Rows; r++) {
        acc[r][j] = acc[r][j] + V::load(residual + r * t.residual_row);
      }
    }
  }
  const V lo = V::set(t.lo), hi = V::set(t.hi);
  PLANISH_UNROLL(4) for (int j = 0; j < J; j++) {
    float* output = t.output + j * t.output_block;
    PLANISH_UNROLL(16) for (int r = 0; r < Rows; r++) {
      min(hi, max(lo, acc[r][j])).store(output + r * t.output_row);
    }
  }
}

template <class V, int Rows, int J>
PLANISH_INLINE void start_tile(const TileArgs& t, V (&acc)[Rows][J]) {
  constexpr int W = V::kWidth;
  if (t.partial_in != nullptr) {
    PLANISH_UNROLL(16) for (int r = 0; r < Rows; r++) {
      const float* sums = t.partial_in + r * J * W;
      PLANISH_UNROLL(4) for (int j = 0; j < J; j++) acc[r][j] = V::load(sums + j * W);
    }
    return;
  }
  PLANISH_UNROLL(4) for (int j = 0; j < J; j++) {
    const V b = t.bias != nullptr ? V::load(t.bias + j * W) : V::zero();
    PLANISH_UNROLL(16) for (int r = 0; r < Rows; r++) acc[r][j] = b;
  }
}

// How many lanes ahead the tile's own weights are asked for: the way from L2 to L1.
constexpr int kWeightsAhead = 8;

// Rows are RowStep floats apart, a step has Lanes values. Halves 2: the second half of the rows has
// a base of its own.
template <class V, int HalfRows, int J, int Halves, int RowStep, int Lanes>
PLANISH_NOINLINE void run_tile(const TileArgs& t) {
  constexpr int W = V::kWidth, Rows = HalfRows * Halves;
  V acc[Rows][J];
  start_tile(t, acc);
  const float* b = t.weights;
  const int64_t second = t.second_rows;
  const float* ahead = t.next_weights;
  const int64_t ahead_step = t.next_step;
  for (int64_t s = 0; s < t.steps; s++) {
    const float* a = t.input + t.offsets[s];
    const float* a2 = a + second;
    const float* next = t.input + t.offsets[s + 1];
    PLANISH_UNROLL(4) for (int k = 0; k < Lanes; k++, b += W * J) {
      V w[J];
      PLANISH_UNROLL(4) for (int j = 0; j < J; j++) w[j] = V::load(b + j * W);
      if constexpr (Lanes > 1) {
        PLANISH_UNROLL(4)
        for (int j = 0; j < J; j++) __builtin_prefetch(b + kWeightsAhead * W * J + j * W, 0, 3);
        __builtin_prefetch(next + k * W, 0, 3);
        __builtin_prefetch(ahead, 0, 2);
        ahead += ahead_step;
      }
      PLANISH_UNROLL(16) for (int r = 0; r < Rows; r++) {
        const V x = V::set(r < HalfRows ? a[r * RowStep + k] : a2[(r - HalfRows) * RowStep + k]);
        PLANISH_UNROLL(4) for (int j = 0; j < J; j++) acc[r][j] = fma(x, w[j], acc[r][j]);
      }
    }
  }
  finish_tile(t, acc);
}

// Accumulators, J weights and one broadcast value must fit the register file.
template <class V, int J>
constexpr int max_tile_rows() {
  constexpr int rows = (V::kRegisters - 1 - J) / J;
  return rows > kMaxTileRows ? kMaxTileRows : rows;
}

template <class V, int J, int... R>
void fill_tiles(TileKernels& k, std::integer_sequence<int, R...>) {
  constexpr int W = V::kWidth;
  k.max_rows[J] = sizeof...(R);
  ((k.single[J][R + 1] = &run_tile<V, R + 1, J, 1, W, W>), ...);
  ((k.stem[J][R + 1] = &run_tile<V, R + 1, J, 1, 1, 1>), ...);
}

template <class V, int J, int... R>
void fill_pair_tiles(TileKernels& k, std::integer_sequence<int, R...>) {
  ((k.pair[J][R + 1] = &run_tile<V, R + 1, J, 2, V::kWidth, V::kWidth>), ...);
}

template <class V, int J>
void fill_tiles(TileKernels& k) {
  constexpr int rows = max_tile_rows<V, J>();
  fill_tiles<V, J>(k, std::make_integer_sequence<int, rows>{});
  fill_pair_tiles<V, J>(k, std::make_integer_sequence<int, rows / 2>{});
}

template <class V>
TileKernels make_tile_kernels() {
  TileKernels k{};
  k.width = V::kWidth;
  fill_tiles<V, 1>(k);
  fill_tiles<V, 2>(k);
  fill_tiles<V, 3>(k);
  fill_tiles<V, 4>(k);
  return k;
}

}  // namespace planish::cpu
