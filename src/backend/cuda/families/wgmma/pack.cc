#include "backend/cuda/families/wgmma/pack.h"

#include <cstring>

namespace planish::cuda::wgmma {
namespace {

// Nearest tf32: 10 bits of fraction, ties to even.
uint32_t rounded_to_tf32(uint32_t bits) {
  if ((bits & 0x7f800000u) == 0x7f800000u) return bits;
  return (bits + 0xfffu + (bits >> 13 & 1)) & ~0x1fffu;
}

}  // namespace

int64_t source_element(const Product& p, const Plan& plan, int64_t batch, int64_t row, int64_t tap,
                       int64_t depth) {
  const int64_t channel = channel_of_packed_row(plan, row);
  if (channel >= p.channels || depth >= p.depth) return -1;
  return right_element(p, batch, channel, tap, depth);
}

kernel::Blob pack_weights(const Product& p, const Plan& plan, const ir::Tensor& weights, bool tf32) {
  kernel::Blob blob;
  blob.bytes.resize(size_t(plan.packed_bytes(p.batches)));
  const auto* from = static_cast<const std::byte*>(weights.data());
  std::byte* to = blob.bytes.data();
  const int64_t padded_depth = int64_t(plan.chunks) * plan.step_depth;
  const size_t bytes = size_t(plan.element_bytes);
  for (int64_t b = 0; b < p.batches; ++b)
    for (int64_t row = 0; row < plan.packed_channels; ++row)
      for (int64_t tap = 0; tap < p.taps(); ++tap)
        for (int64_t d = 0; d < padded_depth; ++d, to += bytes) {
          const int64_t at = source_element(p, plan, b, row, tap, d);
          if (at < 0) continue;
          std::memcpy(to, from + size_t(at) * bytes, bytes);
          if (!tf32) continue;
          uint32_t bits;
          std::memcpy(&bits, to, 4);
          bits = rounded_to_tf32(bits);
          std::memcpy(to, &bits, 4);
        }
  return blob;
}

}  // namespace planish::cuda::wgmma
