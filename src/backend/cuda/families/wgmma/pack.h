// Weights in the order that the tensor-core kernels read them: [batch][ring step][packed row][depth of a
// step], rows permuted (channel_of_packed_row), depth padded with zeros to whole steps per tap. What one
// step of a tile reads lies together: memory gives its pages one after the other.
#pragma once
#include "backend/cuda/families/wgmma/tile.h"

namespace planish::cuda::wgmma {

kernel::Blob pack_weights(const Product& product, const Plan& plan, const ir::Tensor& weights,
                          bool tf32);

}  // namespace planish::cuda::wgmma
