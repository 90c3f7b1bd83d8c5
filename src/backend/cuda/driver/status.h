// Results of the driver as Status.
#pragma once
#include <cuda.h>

#include <string>
#include <string_view>

#include "base/status.h"

namespace planish::cuda {

// Out of memory is kResourceExhausted, a cubin for another device kIncompatible, all else
// kDeviceError; the message names the call and the driver's words.
Status driver_status(CUresult result, std::string_view call);

// "12.4" of 12040, as the driver and CUDA_VERSION count.
std::string version_text(int version);

}  // namespace planish::cuda

// PLANISH_CUDA(driver.cuInit(0)): returns from the function when the call fails.
#define PLANISH_CUDA(call)                                                         \
  do {                                                                             \
    if (const CUresult planish_cuda_result = (call); planish_cuda_result != CUDA_SUCCESS) \
      return ::planish::cuda::driver_status(planish_cuda_result, #call);           \
  } while (false)
