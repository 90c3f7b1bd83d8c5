// The CUDA driver, loaded at run time: building and loading Planish needs no libcuda.
//
// Functions are asked for by name and by the driver version that this code was written against, so
// that each has the signature below whatever driver is installed. (Names are the driver's own, which
// cuda.h hides behind macros: cuGraphInstantiate is another function than the macro says.)
#pragma once
#include <cuda.h>

#include <string>

#include "backend/cuda/driver/status.h"

namespace planish::cuda {

// Oldest driver that is taken: CUDA 12.4.
inline constexpr int kMinDriverVersion = 12040;

// name, parameters; all return CUresult.
#define PLANISH_CUDA_DRIVER_FUNCTIONS(X)                                                            \
  X(cuInit, (unsigned))                                                                             \
  X(cuDriverGetVersion, (int*))                                                                     \
  X(cuGetErrorName, (CUresult, const char**))                                                       \
  X(cuGetErrorString, (CUresult, const char**))                                                     \
  X(cuDeviceGet, (CUdevice*, int))                                                                  \
  X(cuDeviceGetCount, (int*))                                                                       \
  X(cuDeviceGetName, (char*, int, CUdevice))                                                        \
  X(cuDeviceGetAttribute, (int*, CUdevice_attribute, CUdevice))                                     \
  X(cuDeviceTotalMem, (size_t*, CUdevice))                                                          \
  X(cuDeviceGetPCIBusId, (char*, int, CUdevice))                                                    \
  X(cuPointerGetAttributes, (unsigned, CUpointer_attribute*, void**, CUdeviceptr))                   \
  X(cuDevicePrimaryCtxRetain, (CUcontext*, CUdevice))                                               \
  X(cuCtxSetCurrent, (CUcontext))                                                                   \
  X(cuMemGetInfo, (size_t*, size_t*))                                                               \
  X(cuMemAlloc, (CUdeviceptr*, size_t))                                                             \
  X(cuMemFree, (CUdeviceptr))                                                                       \
  X(cuMemHostAlloc, (void**, size_t, unsigned))                                                     \
  X(cuMemFreeHost, (void*))                                                                         \
  X(cuMemcpyAsync, (CUdeviceptr, CUdeviceptr, size_t, CUstream))                                    \
  X(cuMemcpy2DAsync, (const CUDA_MEMCPY2D*, CUstream))                                              \
  X(cuMemsetD8Async, (CUdeviceptr, unsigned char, size_t, CUstream))                                \
  X(cuModuleLoadData, (CUmodule*, const void*))                                                     \
  X(cuModuleUnload, (CUmodule))                                                                     \
  X(cuModuleGetFunction, (CUfunction*, CUmodule, const char*))                                      \
  X(cuFuncGetAttribute, (int*, CUfunction_attribute, CUfunction))                                   \
  X(cuFuncSetAttribute, (CUfunction, CUfunction_attribute, int))                                    \
  X(cuOccupancyMaxActiveBlocksPerMultiprocessor, (int*, CUfunction, int, size_t))                   \
  X(cuOccupancyMaxActiveClusters, (int*, CUfunction, const CUlaunchConfig*))                        \
  X(cuLaunchKernelEx, (const CUlaunchConfig*, CUfunction, void**, void**))                          \
  X(cuStreamCreate, (CUstream*, unsigned))                                                          \
  X(cuStreamDestroy, (CUstream))                                                                    \
  X(cuStreamSynchronize, (CUstream))                                                                \
  X(cuStreamWaitEvent, (CUstream, CUevent, unsigned))                                               \
  X(cuStreamBeginCapture, (CUstream, CUstreamCaptureMode))                                          \
  X(cuStreamEndCapture, (CUstream, CUgraph*))                                                       \
  X(cuGraphInstantiateWithFlags, (CUgraphExec*, CUgraph, unsigned long long))                       \
  X(cuGraphLaunch, (CUgraphExec, CUstream))                                                         \
  X(cuGraphDestroy, (CUgraph))                                                                      \
  X(cuGraphExecDestroy, (CUgraphExec))                                                              \
  X(cuEventCreate, (CUevent*, unsigned))                                                            \
  X(cuEventDestroy, (CUevent))                                                                      \
  X(cuEventRecord, (CUevent, CUstream))                                                             \
  X(cuEventSynchronize, (CUevent))                                                                  \
  X(cuEventElapsedTime, (float*, CUevent, CUevent))                                                 \
  X(cuTensorMapEncodeTiled,                                                                         \
    (CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*, const cuuint64_t*, const cuuint64_t*,    \
     const cuuint32_t*, const cuuint32_t*, CUtensorMapInterleave, CUtensorMapSwizzle,               \
     CUtensorMapL2promotion, CUtensorMapFloatOOBfill))                                              \
  X(cuTensorMapEncodeIm2col,                                                                        \
    (CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*, const cuuint64_t*, const cuuint64_t*,    \
     const int*, const int*, cuuint32_t, cuuint32_t, const cuuint32_t*, CUtensorMapInterleave,      \
     CUtensorMapSwizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill))

#undef cuDeviceTotalMem
#undef cuMemGetInfo
#undef cuMemAlloc
#undef cuMemFree
#undef cuMemHostAlloc
#undef cuMemcpyAsync
#undef cuMemcpy2DAsync
#undef cuMemsetD8Async
#undef cuStreamDestroy
#undef cuStreamBeginCapture
#undef cuEventDestroy
#undef cuEventElapsedTime

struct Driver {
#define PLANISH_CUDA_POINTER(name, parameters) CUresult(CUDAAPI* name) parameters = nullptr;
  PLANISH_CUDA_DRIVER_FUNCTIONS(PLANISH_CUDA_POINTER)
#undef PLANISH_CUDA_POINTER
  int version = 0;  // 13000 is CUDA 13.0
};

// Loads a driver library and initializes it. kNotFound: no library (install the NVIDIA driver);
// kIncompatible: older than kMinDriverVersion, or a function is missing, named; kDeviceError: it is
// there and does not start.
Result<Driver> load_driver(const std::string& path);

// The process's driver: $PLANISH_CUDA_DRIVER, else libcuda.so.1. Loaded once; the outcome stays.
const Result<Driver>& driver();

}  // namespace planish::cuda
