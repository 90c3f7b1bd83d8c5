// The launchable of an emitted step: modules loaded, packed weights on the device, launches by
// cuLaunchKernelEx. Tensor maps hold addresses and are encoded at each launch, on the host; a
// captured graph keeps them.
#pragma once
#include <memory>
#include <span>

#include "backend/cuda/device/gpu.h"
#include "backend/cuda/emit/artifact.h"
#include "kernel/launch_info.h"

namespace planish::cuda {

// `share`: whose device memory the packed weights take; null: the Gpu's pool.
Result<std::unique_ptr<kernel::Launchable>> make_launcher(
    std::shared_ptr<Gpu> gpu, Artifact artifact, std::span<const std::byte> packed,
    const std::shared_ptr<MemoryShare>& share, kernel::LaunchInfo info);

}  // namespace planish::cuda
