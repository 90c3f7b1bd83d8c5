// CRC-32C (Castagnoli), the checksum of TensorFlow's checkpoints and of our line-based caches:
// eight bytes at a time from tables, or by the processor's own instruction where it has one.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace planish {

// The checksum of `before` bytes followed by `bytes`, given the checksum of the former.
uint32_t extend_crc32c(uint32_t before, std::span<const std::byte> bytes);
inline uint32_t crc32c(std::span<const std::byte> bytes) { return extend_crc32c(0, bytes); }
inline uint32_t crc32c(std::string_view text) {
  return crc32c(std::as_bytes(std::span(text.data(), text.size())));
}

// The two implementations, for tests. The second PLANISH_CHECKs nothing: ask has_crc32c_sse42().
uint32_t extend_crc32c_portable(uint32_t before, std::span<const std::byte> bytes);
uint32_t extend_crc32c_sse42(uint32_t before, std::span<const std::byte> bytes);
bool has_crc32c_sse42();

}  // namespace planish
