// The reference code of every op as a kernel of last resort, so that no model fails for want of one.
#pragma once
#include <memory>

#include "kernel/kernel_def.h"
#include "opdef/op_def.h"

namespace planish::eval {

// Takes any problem whose ops are registered, row-major, in host memory. Named "ref".
// `registry` outlives the kernel.
std::unique_ptr<kernel::KernelDef> make_reference_kernel(const opdef::OpRegistry& registry);

// Operands of a run as tensors over their memory, in operand order; absent ones are empty.
std::vector<ir::Tensor> operand_views(const kernel::Problem& problem,
                                      std::span<const kernel::BufferRef> operands);
// Puts computed results where a run wants them; kDataLoss when they are not of the planned types.
Status copy_results(const kernel::Problem& problem, std::span<const ir::Tensor> results,
                    std::span<const kernel::BufferRef> to);

// Runs a concrete problem's stages on tensors given in operand order (null: absent).
Result<std::vector<ir::Tensor>> evaluate_problem(const opdef::OpRegistry& registry,
                                                 const kernel::Problem& problem,
                                                 std::span<const ir::Tensor* const> operands,
                                                 bool wide = false);

}  // namespace planish::eval
