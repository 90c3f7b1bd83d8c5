// The artifact of a CUDA step: launch data and cubins, as bytes of the plan.
//
// Reading trusts nothing: a plan's section hash finds damage, and what is left of it (a forged file)
// meets bounds checks here. Source text is not kept; a kernel that must be made anew is emitted anew.
#pragma once
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backend/cuda/emit/emitted_kernel.h"
#include "backend/cuda/emit/size_pattern.h"
#include "base/status.h"
#include "kernel/kernel_def.h"

namespace planish::cuda {

struct ArtifactKernel {
  EmittedKernel launch;  // source is empty
  std::shared_ptr<const std::vector<std::byte>> cubin;
};

// Kernels of a step whose sizes are parameters (any_size.h), one for each that the step launches.
struct AnySizeKernel {
  SizePattern pattern;
  std::shared_ptr<const std::vector<std::byte>> cubin;
};
struct SizeVariant {
  kernel::Tactic tactic;
  std::vector<AnySizeKernel> kernels;
};

struct Artifact {
  int generator = 0;
  std::string arch;         // "sm_90a"
  std::string fingerprint;  // of the problem that it was emitted for
  std::vector<ArtifactKernel> kernels;
  int64_t workspace_bytes = 0;
  std::vector<SizeVariant> variants;  // for other sizes
};

std::vector<std::byte> encode(const Artifact& artifact);
// kDataLoss names what does not read. Of another generator's bytes only its number is read.
Result<Artifact> decode(std::span<const std::byte> bytes);

}  // namespace planish::cuda
