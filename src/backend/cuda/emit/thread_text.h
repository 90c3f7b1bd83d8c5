// The frame of kernels in which every thread computes a few neighbouring elements: pointers, the
// thread's coordinates and vector types.
#pragma once
#include <string>
#include <vector>

#include "backend/cuda/emit/index_text.h"

namespace planish::cuda {

// template Pack<T, N>: N elements that move as one, aligned as such.
extern const char kPackText[];

// Prints the statements that split `number` (a name, below the product of `sizes`) into
// coordinates, the last size fastest; the coordinates' names start with `prefix`. `width`
// neighbours along the last size that is not 1 belong to one number, and divide it.
Coords split_number(const std::string& number, std::span<const int64_t> sizes, int width,
                    const std::string& index_type, const std::string& prefix,
                    std::string& statements);

}  // namespace planish::cuda
