#include "backend/cuda/families/wgmma/pack.h"

#include <algorithm>
#include <cstring>

namespace planish::cuda::wgmma {
namespace {

// Elements between neighbours along the depth.
int64_t source_step(const Product& p) {
  return right_element(p, 0, 0, 0, 1) - right_element(p, 0, 0, 0, 0);
}

template <class T>
void copy_strided(const std::byte* from, int64_t step, int64_t count, std::byte* to) {
  for (int64_t i = 0; i < count; ++i) std::memcpy(to + i * int64_t(sizeof(T)), from + i * step * int64_t(sizeof(T)), sizeof(T));
}

// Nearest: 10 bits of fraction, ties to even.
void round_to_tf32(std::byte* values, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    uint32_t bits;
    std::memcpy(&bits, values + 4 * i, 4);
    if ((bits & 0x7f800000u) != 0x7f800000u) bits = (bits + 0xfffu + (bits >> 13 & 1)) & ~0x1fffu;
    std::memcpy(values + 4 * i, &bits, 4);
  }
}

}  // namespace

kernel::Blob pack_weights(const Product& p, const Plan& plan, const ir::Tensor& weights, bool tf32) {
  kernel::Blob blob;
  blob.bytes.resize(size_t(plan.packed_bytes(p.batches)));
  const auto* from = static_cast<const std::byte*>(weights.data());
  const int64_t bytes = plan.element_bytes;
  const int64_t step = p.depth > 1 ? source_step(p) : 0;
  for (int64_t b = 0; b < p.batches; ++b)
    for (int64_t row = 0; row < plan.packed_channels; ++row) {
      const int64_t channel = channel_of_packed_row(plan, row);
      if (channel >= p.channels) continue;
      for (int64_t tap = 0; tap < p.taps(); ++tap) {
        const std::byte* source = from + right_element(p, b, channel, tap, 0) * bytes;
        for (int64_t chunk = 0; chunk < plan.chunks; ++chunk) {
          const int64_t at = chunk * plan.step_depth, count = std::min<int64_t>(plan.step_depth, p.depth - at);
          std::byte* to = blob.bytes.data() + (((b * p.taps() + tap) * plan.chunks + chunk) * plan.packed_channels + row) *
                                                  plan.step_depth * bytes;
          if (step == 1) std::memcpy(to, source + at * bytes, size_t(count * bytes));
          else if (bytes == 2) copy_strided<uint16_t>(source + at * step * bytes, step, count, to);
          else copy_strided<uint32_t>(source + at * step * bytes, step, count, to);
          if (tf32) round_to_tf32(to, count);
        }
      }
    }
  return blob;
}

}  // namespace planish::cuda::wgmma
