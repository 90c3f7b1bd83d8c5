// What a convolution or matrix kernel does with a finished accumulator while it is still in
// registers or L1.
//
// The steps, in order: bias per channel, residual, clamp, post. Anything the four cannot say (a
// sigmoid gate, a quantization) is the job of post, which sees each piece of the output right after
// it was stored.
#pragma once

#include <cstdint>
#include <limits>

namespace planish::cpu {

struct Epilogue {
  // One value per output channel, readable up to the next multiple of V (matrix kernels: exactly n
  // values); null: zero.
  const float* bias = nullptr;
  // A tensor like the dense output, added before the clamp; null: none. May be the output itself.
  const float* residual = nullptr;
  float lo = -std::numeric_limits<float>::infinity();
  float hi = std::numeric_limits<float>::infinity();
  // Called on count neighbouring floats of the output; offset is their place in the dense output
  // (also when the output goes into a slice of a larger tensor), from which the caller finds
  // channel, pixel and other operands. Runs on every thread of the team at the same time.
  void (*post)(void* context, float* tile, int64_t offset, int64_t count) = nullptr;
  void* post_context = nullptr;

  // True when a zero accumulator may come out as something else, so that padding lanes need
  // clearing.
  bool moves_zero() const { return post != nullptr || lo > 0 || hi < 0; }
};

}  // namespace planish::cpu
