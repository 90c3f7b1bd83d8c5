// The source of one tensor-core contraction: constants, operand loads, instruction, epilogue and the
// body that puts them together.
#pragma once
#include <string>

#include "backend/cuda/families/wgmma/tile.h"

namespace planish::cuda::wgmma {

// `entry`: name of the kernel. The kernel's parameters are the left and the right TensorMap, then the
// epilogue's, which is quads_epilogue() where there is a pool. `one_wave`: no CTA has a second tile, so that the next kernel may come in as soon as this
// one's input is there; else when the last loads are under way.
std::string kernel_text(const PooledProduct& problem, const Plan& plan, const EpilogueText& epilogue,
                        const std::string& entry, bool one_wave);

}  // namespace planish::cuda::wgmma
