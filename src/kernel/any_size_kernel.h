// AnySizeKernel: a KernelDef whose artifacts can hold, beside what is compiled for one set of sizes, what
// runs at sizes that nobody knew when the plan was built.
#pragma once
#include <span>

#include "kernel/kernel_def.h"

namespace planish::kernel {

class AnySizeKernel {
 public:
  virtual ~AnySizeKernel() = default;
  // As KernelDef::compile() for `problem`. `others` are the same problem at other sizes, of which any
  // may come at run time.
  virtual Result<Blob> compile_any_size(const Problem& problem, std::span<const Problem> others,
                                        const Tactic& tactic, const DeviceInfo& device) const = 0;
};

}  // namespace planish::kernel
