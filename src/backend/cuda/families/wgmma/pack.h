// Weights in the order that the tensor-core kernels read them: [batch][packed row][tap][depth], rows
// permuted (channel_of_packed_row), depth padded with zeros to whole ring steps per tap.
#pragma once
#include "backend/cuda/families/wgmma/tile.h"

namespace planish::cuda::wgmma {

kernel::Blob pack_weights(const Product& product, const Plan& plan, const ir::Tensor& weights,
                          bool tf32);

}  // namespace planish::cuda::wgmma
