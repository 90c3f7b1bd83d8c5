// The question everybody asks before a kernel gets a problem: KernelDef::supports() and the form that
// all kernels but the reference take for granted.
#pragma once
#include "kernel/kernel_def.h"

namespace planish::kernel {

// Ok, or why not. `problem` is concrete. A kernel writes the outputs of the last stage (of the last two
// where that leaves PartialMoments), or of all stages, in their order, and before them what the last of
// several roots reads; a problem that gives others is for the reference kernel.
// Problems without an element to compute are for the reference kernel, too: others may divide by it.
Status supported(const KernelDef& kernel, const Problem& problem, const DeviceInfo& device);

// All results are known to have no element (an empty batch).
bool is_empty(const Problem& problem);

}  // namespace planish::kernel
