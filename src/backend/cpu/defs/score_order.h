// Orders of floats with their positions in one integer, so that sorting compares words: by value, equal
// ones (0 and -0 among them) by position, NaN as the greatest.
#pragma once
#include <bit>
#include <cstdint>

namespace planish::cpu {

// Grows with the value.
inline uint32_t rank_of(float value) {
  if (value != value) return 0xffffffffu;
  const uint32_t bits = std::bit_cast<uint32_t>(value == 0 ? 0.0f : value);
  return bits >> 31 ? ~bits : bits | 0x80000000u;
}
inline uint64_t ascending(float value, uint32_t position) {
  return uint64_t(rank_of(value)) << 32 | position;
}
inline uint64_t descending(float value, uint32_t position) {
  return uint64_t(~rank_of(value)) << 32 | position;
}
inline int64_t position(uint64_t key) { return int64_t(uint32_t(key)); }

}  // namespace planish::cpu
