// SHA-1 (FIPS 180-4), because ONNX's external data names that digest. It guards against mix-ups of
// files only; nothing here relies on it for security.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace planish::frontend::onnx {

class Sha1 {
 public:
  void update(std::span<const std::byte> bytes);
  // Forty lower-case hexadecimal digits. Ends the computation.
  std::string finish();

 private:
  void block();

  std::array<uint32_t, 5> state_ = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
  std::array<uint8_t, 64> pending_ = {};
  size_t pending_count_ = 0;
  uint64_t total_ = 0;
};

}  // namespace planish::frontend::onnx
