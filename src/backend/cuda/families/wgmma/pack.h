// Weights in the order that the tensor-core kernels read them: [batch][packed row][tap][depth], rows
// permuted (channel_of_packed_row), depth padded with zeros to whole ring steps per tap.
#pragma once
#include "backend/cuda/families/wgmma/tile.h"

namespace planish::cuda::wgmma {

// Element number in the right operand's own order of what the packed blob holds at [batch][row][tap]
// [depth]; -1: zero.
int64_t source_element(const Product& product, const Plan& plan, int64_t batch, int64_t row,
                       int64_t tap, int64_t depth);

kernel::Blob pack_weights(const Product& product, const Plan& plan, const ir::Tensor& weights,
                          bool tf32);

}  // namespace planish::cuda::wgmma
