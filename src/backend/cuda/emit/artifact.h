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
#include "base/status.h"

namespace planish::cuda {

struct ArtifactKernel {
  EmittedKernel launch;  // source is empty
  std::shared_ptr<const std::vector<std::byte>> cubin;
};

struct Artifact {
  int generator = 0;
  std::string arch;         // "sm_90a"
  std::string fingerprint;  // of the problem that it was emitted for
  std::vector<ArtifactKernel> kernels;
  int64_t workspace_bytes = 0;
};

std::vector<std::byte> encode(const Artifact& artifact);
// kDataLoss names what does not read.
Result<Artifact> decode(std::span<const std::byte> bytes);

}  // namespace planish::cuda
