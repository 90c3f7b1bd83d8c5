// The CUDA backend: NVIDIA GPUs through the driver, which is loaded at run time.
#pragma once
#include <memory>

#include "backend/api/backend.h"

namespace planish::cuda {

std::unique_ptr<backend::Backend> make_cuda_backend();

}  // namespace planish::cuda
