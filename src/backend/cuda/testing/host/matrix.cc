#include "backend/cuda/testing/host/matrix.h"

#include <cstring>
#include <vector>

#include "backend/cuda/testing/host/memory.h"
#include "base/float_types.h"

namespace planish_host {
namespace {

// A matrix operand in shared memory: its descriptor and which way it lies.
struct Descriptor {
  uint32_t start, leading, next;
  int swizzle;  // as in swizzled()
  explicit Descriptor(uint64_t bits)
      : start(uint32_t(bits & 0x3fff) << 4), leading(uint32_t(bits >> 16 & 0x3fff) << 4),
        next(uint32_t(bits >> 32 & 0x3fff) << 4) {
    const int kind = int(bits >> 62);
    swizzle = kind == 0 ? 0 : 4 - kind;
  }
  // Address of depth element `k` of row (or column) `i`.
  uint32_t at(uint32_t i, uint32_t k, uint32_t bytes, bool transposed) const {
    const uint32_t span = 16u << swizzle;  // bytes of a row under the swizzle
    if (transposed) {  // 64 rows (128 bytes) lie together, 8 deep make a group
      const uint32_t inner = span / bytes;
      return swizzled(start + i / inner * leading + k / 8 * next + k % 8 * span + i % inner * bytes, swizzle);
    }
    const uint32_t depth = k * bytes;
    if (swizzle == 0) return start + i / 8 * next + depth / 16 * leading + i % 8 * 16 + depth % 16;
    return swizzled(start + i / 8 * next + i % 8 * span + depth, swizzle);
  }
};

uint32_t word_at(const unsigned char* p, uint32_t bytes) {
  uint32_t word = 0;
  std::memcpy(&word, p, bytes);
  return word;
}

// Elements [rows][depth] of an operand.
bool read_operand(const Descriptor& d, Element element, uint32_t rows, uint32_t depth, bool transposed,
                  const SharedBytes& shared, std::vector<float>& out) {
  const uint32_t bytes = 32 / depth;
  out.resize(size_t(rows) * depth);
  for (uint32_t i = 0; i < rows; ++i)
    for (uint32_t k = 0; k < depth; ++k) {
      const unsigned char* p = shared(d.at(i, k, bytes, transposed), bytes);
      if (!p) return false;
      out[size_t(i) * depth + k] = to_float(element, word_at(p, bytes));
    }
  return true;
}

// Half `h` of a register's two 16-bit elements.
float half_of(Element element, uint32_t word, uint32_t h) {
  return to_float(element, word >> 16 * h & 0xffff);
}

// Element (row, k) of a 16 x 16 fragment is in lane 4 (row % 8) + k % 8 / 2, word row / 8 + 2 (k / 8).
struct FragmentPlace {
  uint32_t lane, word, half;
};
FragmentPlace left_place(uint32_t row, uint32_t k) {
  return {4 * (row % 8) + k % 8 / 2, row / 8 + 2 * (k / 8), k % 2};
}

}  // namespace

float to_float(Element element, uint32_t bits) {
  if (element == Element::kF16) return planish::half_to_float(uint16_t(bits));
  // tf32: the low 13 bits are not looked at.
  bits = element == Element::kBF16 ? bits << 16 : bits & ~0x1fffu;
  float f;
  std::memcpy(&f, &bits, 4);
  return f;
}

bool run_wgmma(const WgmmaCall& call, const SharedBytes& shared) {
  const uint32_t n = uint32_t(call.op.n), depth = call.op.element == Element::kTf32 ? 8 : 16;
  std::vector<float> a(size_t(64) * depth), b, product(size_t(64) * n, 0.0f);
  if (call.op.a_in_registers) {
    for (uint32_t row = 0; row < 64; ++row)
      for (uint32_t k = 0; k < depth; ++k) {
        const FragmentPlace p = left_place(row % 16, k);
        a[row * depth + k] = half_of(call.op.element, call.a_words[row / 16 * 32 + p.lane][p.word], p.half);
      }
  } else if (!read_operand(Descriptor(call.a), call.op.element, 64, depth, call.op.a_transposed, shared, a)) {
    return false;
  }
  if (!read_operand(Descriptor(call.b), call.op.element, n, depth, call.op.b_transposed, shared, b)) return false;
  std::vector<float> turned(b.size());
  for (uint32_t j = 0; j < n; ++j)
    for (uint32_t k = 0; k < depth; ++k) turned[size_t(k) * n + j] = b[size_t(j) * depth + k];
  for (uint32_t i = 0; i < 64; ++i)
    for (uint32_t k = 0; k < depth; ++k) {
      const float x = a[i * depth + k];
      const float* y = turned.data() + size_t(k) * n;
      float* to = product.data() + size_t(i) * n;
      for (uint32_t j = 0; j < n; ++j) to[j] += x * y[j];
    }
  for (uint32_t t = 0; t < 128; ++t)
    for (uint32_t i = 0; i < n / 2; ++i) {
      const uint32_t row = t / 32 * 16 + t % 32 / 4 + i / 2 % 2 * 8, column = i / 4 * 8 + t % 4 * 2 + i % 2;
      float& sum = *static_cast<float*>(call.sums[t][i]);
      sum = (call.add ? sum : 0.0f) + product[size_t(row) * n + column];
    }
  return true;
}

// Lane 8 m + r brings row r of matrix m; lane l gets elements 2 (l % 4) and + 1 of row l / 4 of each.
void run_load_matrices(void** slots) {
  for (uint32_t l = 0; l < 32; ++l) {
    const auto* own = static_cast<const LoadLane*>(slots[l]);
    if (!own) continue;
    for (uint32_t m = 0; m < uint32_t(own->count); ++m) {
      uint16_t two[2] = {0xffff, 0xffff};
      for (uint32_t e = 0; e < 2; ++e) {
        const uint32_t row = own->turned ? 2 * (l % 4) + e : l / 4, column = own->turned ? l / 4 : 2 * (l % 4) + e;
        const auto* from = static_cast<const LoadLane*>(slots[8 * m + row]);
        if (from) std::memcpy(&two[e], from->row + 2 * column, 2);
      }
      std::memcpy(own->words[m], two, 4);
    }
  }
}

void run_store_matrices(void** slots) {
  for (uint32_t l = 0; l < 32; ++l) {
    const auto* own = static_cast<const StoreLane*>(slots[l]);
    if (!own) continue;
    for (uint32_t m = 0; m < uint32_t(own->count); ++m) {
      const auto* to = static_cast<const StoreLane*>(slots[8 * m + l / 4]);
      if (to) std::memcpy(to->row + 4 * (l % 4), own->words[m], 4);
    }
  }
}

void run_mma(void** slots) {
  float a[16][16] = {}, b[16][8] = {};
  uint32_t depth = 16;
  for (uint32_t l = 0; l < 32; ++l)
    if (slots[l]) depth = uint32_t(static_cast<const MmaLane*>(slots[l])->depth);
  const auto lane = [&](uint32_t l) { return static_cast<const MmaLane*>(slots[l]); };
  const auto word = [&](void* const* list, uint32_t i) { return word_at(static_cast<unsigned char*>(list[i]), 4); };
  for (uint32_t row = 0; row < 16; ++row)
    for (uint32_t k = 0; k < depth; ++k) {
      const FragmentPlace p = left_place(row, k);
      if (lane(p.lane)) a[row][k] = half_of(lane(p.lane)->element, word(lane(p.lane)->a, p.word), p.half);
    }
  for (uint32_t k = 0; k < depth; ++k)
    for (uint32_t n = 0; n < 8; ++n) {
      const MmaLane* from = lane(4 * n + k % 8 / 2);
      if (from) b[k][n] = half_of(from->element, word(from->b, k / 8), k % 2);
    }
  for (uint32_t l = 0; l < 32; ++l) {
    if (!lane(l)) continue;
    float sums[4];
    for (uint32_t i = 0; i < 4; ++i) {
      const uint32_t row = l / 4 + i / 2 * 8, column = 2 * (l % 4) + i % 2;
      float sum = 0;
      for (uint32_t k = 0; k < depth; ++k) sum += a[row][k] * b[k][column];
      sums[i] = *static_cast<float*>(lane(l)->c[i]) + sum;
    }
    for (uint32_t i = 0; i < 4; ++i) *static_cast<float*>(lane(l)->sums[i]) = sums[i];
  }
}

}  // namespace planish_host
