// CUDA C of the fused inverted bottleneck.
#pragma once
#include "backend/cuda/families/bottleneck/block.h"

namespace planish::cuda::bottleneck {

// Printed epilogues: of pairs of 8-channel blocks, and of the last block where their number is odd.
struct Ends {
  std::optional<EpilogueText> pairs, last;
};
Result<Ends> ends_of(const Chain& chain, const BlockPlan& plan);

std::string kernel_text(const Chain& chain, const BlockPlan& plan, const Ends& ends, const std::string& entry);

}  // namespace planish::cuda::bottleneck
