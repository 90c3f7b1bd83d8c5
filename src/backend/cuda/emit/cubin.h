// What a compiled kernel is made of, read from its machine code: whether it runs on tensor cores is a
// matter of its instructions, not of its name.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/status.h"

namespace planish::cuda {

// Instructions in a cubin's code, by unit; not how often they run.
struct CubinCounts {
  int64_t instructions = 0;
  int64_t mma = 0;    // HMMA, IMMA: tensor cores, a warp at a time
  int64_t wgmma = 0;  // HGMMA, IGMMA, QGMMA: tensor cores, a warpgroup at a time
  bool uses_tensor_cores() const { return mma + wgmma > 0; }
};

// kDataLoss when the bytes are no cubin. For architectures with 16-byte instructions (sm_70 on).
Result<CubinCounts> count_instructions(std::span<const std::byte> cubin);

}  // namespace planish::cuda
