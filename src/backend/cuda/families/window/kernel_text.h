// The source of one convolution of the window family.
#pragma once
#include <string>

#include "backend/cuda/families/window/tile.h"

namespace planish::cuda::window {

// `entry`: name of the kernel. Its parameters are the input's TensorMap, the packed filters, then the
// epilogue's, which is quads_epilogue() where there is a pool.
std::string kernel_text(const PooledProduct& problem, const Plan& plan, const EpilogueText& epilogue,
                        const std::string& entry);

}  // namespace planish::cuda::window
