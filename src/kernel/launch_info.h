// DescribedLaunchable: a Launchable that tells what it launches and what bounds it, for profiles.
#pragma once
#include <string>
#include <vector>

#include "kernel/kernel_def.h"

namespace planish::kernel {

struct LaunchInfo {
  std::vector<std::string> kernels;  // names of the functions on the device, in launch order
  bool tensor_cores = false;         // by the instructions of their code
  bool any_size = false;             // compiled for any sizes, not for these
  // What the units that it runs on could do at most, for the problem's type; 0: not known.
  double peak_flops = 0;
  double peak_bytes_per_s = 0;
};

class DescribedLaunchable : public Launchable {
 public:
  virtual const LaunchInfo& launch_info() const = 0;
  // As run(), but nothing of it starts before all that it follows on its stream has ended.
  virtual Status run_after_end(const RunArgs& args) const { return run(args); }
};

}  // namespace planish::kernel
