// CRC-32C by SSE 4.2's instruction; on other processors has_crc32c_sse42() says no and the portable
// version stands in.
#include <cstring>

#include "base/crc32c.h"

#if defined(__x86_64__)
#include <nmmintrin.h>

namespace planish {

bool has_crc32c_sse42() { return __builtin_cpu_supports("sse4.2"); }

__attribute__((target("sse4.2"))) uint32_t extend_crc32c_sse42(uint32_t before,
                                                               std::span<const std::byte> bytes) {
  uint64_t crc = ~before;
  const std::byte* at = bytes.data();
  size_t left = bytes.size();
  for (; left >= 8; left -= 8, at += 8) {
    uint64_t word;
    std::memcpy(&word, at, 8);
    crc = _mm_crc32_u64(crc, word);
  }
  for (; left; --left, ++at) crc = _mm_crc32_u8(uint32_t(crc), uint8_t(*at));
  return ~uint32_t(crc);
}

}  // namespace planish
#else

namespace planish {

bool has_crc32c_sse42() { return false; }
uint32_t extend_crc32c_sse42(uint32_t before, std::span<const std::byte> bytes) {
  return extend_crc32c_portable(before, bytes);
}

}  // namespace planish
#endif
