// A family whose tactics print a text of its own for many sizes (rows unrolled by their length) names
// those that print the same text for all. They take no part in races.
#pragma once
#include <vector>

#include "kernel/kernel_def.h"

namespace planish::cuda {

class AnySizeTactics {
 public:
  virtual ~AnySizeTactics() = default;
  // Legal for the concrete problem, beside KernelDef::tactics().
  virtual std::vector<kernel::Tactic> any_size_tactics(const kernel::Problem& problem,
                                                       const kernel::DeviceInfo& device) const = 0;
};

}  // namespace planish::cuda
