// backend::Device over a Gpu: memory from its pools, streams, events, CUDA graphs, and times taken
// under graph replay.
#pragma once
#include <memory>

#include "backend/api/backend.h"

namespace planish::cuda {

Result<std::shared_ptr<backend::Device>> make_cuda_device(int ordinal);

}  // namespace planish::cuda
