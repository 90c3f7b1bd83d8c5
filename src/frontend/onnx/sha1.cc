#include "frontend/onnx/sha1.h"

#include <bit>

namespace planish::frontend::onnx {

void Sha1::block() {
  std::array<uint32_t, 80> w;
  for (size_t t = 0; t < 16; ++t)
    w[t] = uint32_t(pending_[4 * t]) << 24 | uint32_t(pending_[4 * t + 1]) << 16 |
           uint32_t(pending_[4 * t + 2]) << 8 | pending_[4 * t + 3];
  for (size_t t = 16; t < 80; ++t) w[t] = std::rotl(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
  auto [a, b, c, d, e] = state_;
  for (size_t t = 0; t < 80; ++t) {
    uint32_t f, k;
    if (t < 20) f = (b & c) | (~b & d), k = 0x5A827999;
    else if (t < 40) f = b ^ c ^ d, k = 0x6ED9EBA1;
    else if (t < 60) f = (b & c) | (b & d) | (c & d), k = 0x8F1BBCDC;
    else f = b ^ c ^ d, k = 0xCA62C1D6;
    const uint32_t next = std::rotl(a, 5) + f + e + k + w[t];
    e = d;
    d = c;
    c = std::rotl(b, 30);
    b = a;
    a = next;
  }
  state_[0] += a;
  state_[1] += b;
  state_[2] += c;
  state_[3] += d;
  state_[4] += e;
  pending_count_ = 0;
}

void Sha1::update(std::span<const std::byte> bytes) {
  total_ += bytes.size();
  for (std::byte b : bytes) {
    pending_[pending_count_++] = uint8_t(b);
    if (pending_count_ == pending_.size()) block();
  }
}

std::string Sha1::finish() {
  const uint64_t bits = total_ * 8;
  pending_[pending_count_++] = 0x80;
  if (pending_count_ > 56) {
    while (pending_count_ < 64) pending_[pending_count_++] = 0;
    block();
  }
  while (pending_count_ < 56) pending_[pending_count_++] = 0;
  for (int shift = 56; shift >= 0; shift -= 8) pending_[pending_count_++] = uint8_t(bits >> shift);
  block();
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (uint32_t word : state_)
    for (int shift = 28; shift >= 0; shift -= 4) out += kHex[word >> shift & 15];
  return out;
}

}  // namespace planish::frontend::onnx
