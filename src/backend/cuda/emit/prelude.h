// Prelude: device code that emitted kernels share, as text. Put in front of a kernel's source when it
// is used; NVRTC drops what a kernel does not call.
//
// Types u8 u16 u32 u64 i64, V4 (16 bytes) and TensorMap (a TMA description, passed by value as
// `const __grid_constant__ TensorMap`). Conversions f16_to_f32(u16), f32_to_f16(float), the same for
// bf16, pack_f16x2 / pack_bf16x2(low, high) and low/high halves. Loads ld16 / st16 (plain), ld16_nc
// (constants only: never of what an earlier kernel wrote under programmatic launch). grid_wait() and
// grid_launch() are programmatic dependent launch. max_nan / min_nan propagate NaN.
#pragma once

namespace planish::cuda {

extern const char kPrelude[];

}  // namespace planish::cuda
