// What follows a primitive and its bias: residual, clamp and the rest of the epilogue, on one
// stretch of the output that a task has just written. Not left to oneDNN, whose ReLU turns NaN to 0.
#pragma once
#include "backend/cpu/defs/epilogue.h"

namespace planish::onednn {

// count neighbouring floats, `dense` their place in the dense output.
inline void finish(const cpu::Epilogue& epilogue, float* at, int64_t dense, int64_t count) {
  constexpr int64_t kStretch = 2048;  // stays in L1 from step to step
  for (int64_t begin = 0; begin < count; begin += kStretch) {
    const int64_t size = std::min(kStretch, count - begin);
    float* to = at + begin;
    if (epilogue.residual) {
      const float* residual = epilogue.residual + dense + begin;
      for (int64_t i = 0; i < size; ++i) to[i] += residual[i];
    }
    const float lo = epilogue.lo, hi = epilogue.hi;
    if (lo > -std::numeric_limits<float>::infinity())
      for (int64_t i = 0; i < size; ++i) to[i] = to[i] < lo ? lo : to[i];
    if (hi < std::numeric_limits<float>::infinity())
      for (int64_t i = 0; i < size; ++i) to[i] = to[i] > hi ? hi : to[i];
    if (epilogue.post) epilogue.post(epilogue.post_context, to, dense + begin, size);
  }
}

}  // namespace planish::onednn
