// What the kernels of this folder check before they trust a problem, a tactic or packed weights that
// may come out of a plan file.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

#include "base/status.h"
#include "base/text.h"
#include "ir/tensor.h"
#include "kernel/kernel_def.h"

namespace planish::cpu {

// Input i is operand i, or absent: what kernels assume that read operands by their number.
inline Status reads_in_order(const kernel::Stage& stage) {
  for (size_t i = 0; i < stage.inputs.size(); ++i)
    if (stage.inputs[i] >= 0 && stage.inputs[i] != int(i))
      return unsupported(cat("input ", i, " is value ", stage.inputs[i]));
  return ok_status();
}

// A tactic's parameter within [low, high].
inline Status in_range(const kernel::Tactic& tactic, std::string_view key, int64_t fallback,
                       int64_t low, int64_t high) {
  const int64_t got = tactic.get(key, fallback);
  if (got >= low && got <= high) return ok_status();
  return data_loss(
      cat("tactic parameter '", key, "' is ", got, ", expected ", low, " to ", high));
}
inline constexpr int64_t kMaxTacticCount = int64_t(1) << 31;  // of a parameter that counts things

// Packed weights are as many floats as the kernel will read.
inline Status packed_floats(std::span<const std::byte> packed, int64_t floats) {
  if (int64_t(packed.size()) == floats * int64_t(sizeof(float))) return ok_status();
  return data_loss(cat("packed weights have ", packed.size(), " bytes, expected ",
                       floats * int64_t(sizeof(float))));
}

// A constant operand is what a packer or binder reads: f32 of that many elements.
inline Status constant_floats(std::span<const ir::Tensor> constants, int operand, int64_t count) {
  const bool given = operand >= 0 && size_t(operand) < constants.size();
  const ir::Tensor none;
  const ir::Tensor& t = given ? constants[size_t(operand)] : none;
  if (given && t.dtype() == ir::DataType::kF32 && t.count() == count) return ok_status();
  return data_loss(cat("operand ", operand, " is ", ir::to_string(t.type()), ", expected a constant ",
                       "of ", count, " f32"));
}

// Scratch memory in bytes (computed in double, where sizes cannot wrap) that is taken at most.
inline constexpr double kMaxScratchBytes = double(int64_t(1) << 40);

}  // namespace planish::cpu
