// Compiling the kernels of many candidates at once: a device's kernels take a fraction of a second
// each, and a build asks for hundreds.
#pragma once
#include <functional>
#include <optional>
#include <vector>

#include "base/status.h"
#include "kernel/kernel_def.h"

namespace planish::tuner {

struct CompileJob {
  const kernel::KernelDef* kernel = nullptr;
  const kernel::Problem* problem = nullptr;
  const kernel::Tactic* tactic = nullptr;
};

// Calls KernelDef::compile for every job on as many threads as there are cores (at most 16), so that
// the kernels' own caches answer whoever asks next; what fails, fails again then, where it is
// reported. `stop` is asked before each job (null: never); jobs are begun in their order. Gives what
// each job made, and nothing for jobs that were not begun.
std::vector<std::optional<Result<kernel::Blob>>> compile_ahead(const std::vector<CompileJob>& jobs,
                                                               const kernel::DeviceInfo& device,
                                                               const std::function<bool()>& stop = {});

}  // namespace planish::tuner
