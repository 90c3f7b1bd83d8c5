// The source of one tensor-core contraction: constants, operand loads, instruction, epilogue and the
// body that puts them together.
#pragma once
#include <string>

#include "backend/cuda/families/wgmma/tile.h"

namespace planish::cuda::wgmma {

// `entry`: name of the kernel. The kernel's parameters are the left and the right TensorMap, then the
// epilogue's.
std::string kernel_text(const Product& product, const Plan& plan, const EpilogueText& epilogue,
                        const std::string& entry);

}  // namespace planish::cuda::wgmma
