// AllocatingKernel: a kernel for steps whose result dims only the data decide. Its Launchables answer
// run_allocating(); supports() is asked about a problem whose result dims are upper bounds.
#pragma once
#include "kernel/kernel_def.h"

namespace planish::kernel {

class AllocatingKernel : public KernelDef {};

}  // namespace planish::kernel
