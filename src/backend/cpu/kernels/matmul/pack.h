// The two operand forms of the register tile, made from row-major matrices; shared by matmul and
// attention.
#pragma once

#include <cstdint>

#include "backend/cpu/kernels/isa.h"

namespace planish::cpu {

// Rows [0, rows) of A, blocks [first, last) of V columns each (zero beyond k), to packed[block *
// packed_block + row * V].
void pack_a_blocks(const float* a, int64_t a_row, bool transposed, int64_t rows, int64_t k,
                   int64_t first, int64_t last, Isa isa, float* packed, int64_t packed_block);

// lanes columns from column n0 (zero beyond n) and all k rows (zero up to the next multiple of V)
// of B, to [k][lanes].
void pack_b_chunk(const float* b, int64_t b_row, bool transposed, int64_t k, int64_t n, int64_t n0,
                  int64_t lanes, Isa isa, float* packed);

}  // namespace planish::cpu
