// Copies between layouts, element by element: the plain way, for observers and odd cases.
#pragma once
#include <cstdint>
#include <span>

#include "ir/type.h"

namespace planish::runtime {

// Physical element index of a logical index under `layout`; `outer_stride` (elements) replaces the
// stride of the slices that lie apart (kernel/strided.h) when it is not 0.
int64_t physical_index(std::span<const int64_t> index, std::span<const int64_t> dims,
                       const ir::Layout& layout, int64_t outer_stride = 0);

// to[row-major] = from[layout]. Element sizes in bytes; sub-byte types are not split.
void copy_to_row_major(const std::byte* from, const ir::Layout& layout, int64_t outer_stride_bytes,
                       std::byte* to, std::span<const int64_t> dims, int64_t element_bytes);

}  // namespace planish::runtime
