#include "backend/cpu/kernels/matmul/pack.h"

#include <algorithm>
#include <cstring>

#include "backend/cpu/kernels/reorder/reorder.h"

namespace planish::cpu {

namespace {

void pack_a_block(const float* a, int64_t a_row, bool transposed, int64_t rows, int64_t k,
                  int64_t block, Isa isa, float* packed) {
  const int width = vector_width(isa);
  const int64_t k0 = block * width;
  const int columns = static_cast<int>(std::min<int64_t>(width, k - k0));
  if (transposed) {
    const auto transpose = reorder_kernels(isa).transpose;
    for (int64_t r = 0; r < rows; r += width) {
      const int count = static_cast<int>(std::min<int64_t>(width, rows - r));
      transpose(a + k0 * a_row + r, a_row, columns, count, packed + r * width, width, width);
    }
    return;
  }
  for (int64_t r = 0; r < rows; r++) {
    const float* from = a + k0 + r * a_row;
    for (int i = 0; i < width; i++) packed[r * width + i] = i < columns ? from[i] : 0;
  }
}

}  // namespace

void pack_a_blocks(const float* a, int64_t a_row, bool transposed, int64_t rows, int64_t k,
                   int64_t first, int64_t last, Isa isa, float* packed, int64_t packed_block) {
  const int width = vector_width(isa);
  const int64_t whole = transposed ? first : std::clamp(k / width, first, last);
  reorder_kernels(isa).split_columns(a + first * width, a_row, rows, whole - first,
                                     packed + first * packed_block, packed_block);
  for (int64_t i = whole; i < last; i++)
    pack_a_block(a, a_row, transposed, rows, k, i, isa, packed + i * packed_block);
}

void pack_b_chunk(const float* b, int64_t b_row, bool transposed, int64_t k, int64_t n, int64_t n0,
                  int64_t lanes, Isa isa, float* packed) {
  const int width = vector_width(isa);
  const int64_t here = std::min(lanes, n - n0), padded = (k + width - 1) / width * width;
  if (transposed) {
    const auto transpose = reorder_kernels(isa).transpose;
    for (int64_t i = 0; i < k; i += width) {
      const int rows_of_k = static_cast<int>(std::min<int64_t>(width, k - i));
      for (int64_t j = 0; j < lanes; j += width) {
        const int columns = static_cast<int>(std::clamp<int64_t>(here - j, 0, width));
        const float* from = columns > 0 ? b + (n0 + j) * b_row + i : b;
        transpose(from, b_row, columns, rows_of_k, packed + i * lanes + j, lanes, width);
      }
    }
  } else {
    for (int64_t i = 0; i < k; i++) {
      std::memcpy(packed + i * lanes, b + i * b_row + n0, here * sizeof(float));
      std::memset(packed + i * lanes + here, 0, (lanes - here) * sizeof(float));
    }
  }
  if (padded > k) std::memset(packed + k * lanes, 0, (padded - k) * lanes * sizeof(float));
}

}  // namespace planish::cpu
