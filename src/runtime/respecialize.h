// A program that was made for another GPU, or by another version of its kernels, made to run here.
//
// Steps whose kernel does not take them on this device get another of the same device kind, in the same
// layouts; regions that no kernel takes whole become a step per stage, with values of their own between.
// Nothing is measured: predictions decide, and compiling is the kernels' affair when they are bound.
// Constants stay as they are; what the plan packed or compiled for its own kernels is left out.
#pragma once
#include <string>
#include <vector>

#include "backend/api/backend.h"
#include "kernel/kernel_def.h"
#include "plan/program.h"
#include "runtime/check_step.h"

namespace planish::runtime {

// What was changed, as text ("" when all steps fit): whom the plan was made for, who is here, how many
// steps have other kernels. `input_dims`: shapes to ask and predict for, in the inputs' order. A program
// of the CPU is left alone. kIncompatible names the step that no kernel here takes and why its own does
// not; the program is in an unspecified state then.
Result<std::string> respecialize(plan::Program& program, const kernel::KernelRegistry& registry,
                                 const kernel::DeviceInfo& device, const ProblemCheck& check,
                                 const std::vector<std::vector<int64_t>>& input_dims);

}  // namespace planish::runtime
