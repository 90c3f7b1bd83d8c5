// The register tile: the one multiply kernel under convolution, Winograd and matrix products.
//
// A tile computes rows x (J * V) outputs, C[r][j] = init + sum over steps s and lanes k of
// input[offsets[s] + r * V + k] * weights[(s * V + k) * J * V + j * V ..]. "Row" is an output pixel
// or a matrix row. Because activations are blocked by V channels, every input address is one base
// plus a constant and rows never fall into one cache set; because every step has its own offset, a
// filter tap, a channel block and an input phase of a strided convolution are all the same thing.
// Accumulators stay in registers from the first step to the last.
#pragma once

#include <cstdint>

#include "backend/cpu/kernels/isa.h"

namespace planish::cpu {

struct TileArgs {
  const float* input;  // row 0 at offset 0
  const int64_t*
      offsets;    // per step, in floats; one more entry than steps (it is prefetched, not used)
  int64_t steps;  // V lanes each (stem tiles: one value each)
  int64_t
      second_rows;  // pair tiles: rows [R, 2R) read at this distance (in floats) from rows [0, R)
  const float* weights;  // [steps][V][J * V]
  // Weights of later tiles, prefetched to L2: steps * V lines (64 bytes), next_step floats apart
  // (V: each line once; fewer: spread over more tiles, so that memory is asked for evenly).
  const float* next_weights;
  int64_t next_step;
  const float* bias;  // J * V floats, or null: start from zero
  const float* partial_in;  // [rows][J * V] instead of bias, or null
  float* partial_out;       // if set, sums go here as [rows][J * V] and nothing below is used
  float* output;
  int64_t output_row;     // floats from row to row
  int64_t output_block;   // floats from vector j to vector j + 1
  const float* residual;  // added before the clamp, or null
  int64_t residual_row;
  int64_t residual_block;
  float lo, hi;  // clamp
};

using TileFn = void (*)(const TileArgs&);

constexpr int kMaxTileBlocks = 4;
constexpr int kMaxTileRows = 14;

struct TileKernels {
  int width;                                              // V
  int max_rows[kMaxTileBlocks + 1];                       // by j blocks
  TileFn single[kMaxTileBlocks + 1][kMaxTileRows + 1];    // [j][rows]
  TileFn pair[kMaxTileBlocks + 1][kMaxTileRows / 2 + 1];  // [j][rows of each half]; null: none
  TileFn stem[kMaxTileBlocks + 1]
             [kMaxTileRows + 1];  // rows are neighbouring floats, a step is one value
};

const TileKernels& tile_kernels(Isa isa);

// Implemented in tile_<isa>.cc.
const TileKernels& tile_kernels_portable();
const TileKernels& tile_kernels_avx2();
const TileKernels& tile_kernels_avx512();

}  // namespace planish::cpu
