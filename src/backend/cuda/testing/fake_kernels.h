// Kernels of the fake driver: what the fake NVRTC compiled for the host runs on the emulated GPU; machine
// code of a real one does nothing.
#pragma once
#include <cuda.h>

#include <functional>

namespace planish_fake {

struct Module;
struct Function;

// The module that cuModuleLoadData's image holds.
Module* load(const void* image);
void unload(Module* module);
Function* find(Module* module, const char* name);
// The launch with its arguments copied: true when it went well, else what went wrong is on stderr.
std::function<bool()> launch(const CUlaunchConfig& config, const Function* function, void** parameters);
// Tensor maps, as cuTensorMapEncodeTiled and cuTensorMapEncodeIm2col make them.
struct MapRequest {
  CUtensorMapDataType type;
  cuuint32_t rank;
  void* address;
  const cuuint64_t *dims, *strides;
  const cuuint32_t* steps;
  CUtensorMapSwizzle swizzle;
  const cuuint32_t* box = nullptr;
  const int *lower = nullptr, *upper = nullptr;
  cuuint32_t channels = 0, pixels = 0;
};
CUresult encode(CUtensorMap* map, const MapRequest& request);

}  // namespace planish_fake
