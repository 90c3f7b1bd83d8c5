// What a GPU's units can do at most, at its highest clock: the figures that a profile's fractions are of.
#pragma once
#include "ir/data_type.h"
#include "kernel/kernel_def.h"

namespace planish::cuda {

// Operations per second, a multiply-add counted as two, with sums in f32 (i32 for integers): of tensor
// cores for operands of `type` (f32 stands for tf32), else of the plain cores.
double peak_flops(const kernel::DeviceInfo& device, bool tensor_cores, ir::DataType type);

}  // namespace planish::cuda
