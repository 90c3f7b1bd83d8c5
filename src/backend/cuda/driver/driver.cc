#include "backend/cuda/driver/driver.h"

#include <dlfcn.h>

#include <chrono>
#include <cstdlib>

#include "base/log.h"
#include "base/text.h"

namespace planish::cuda {
namespace {

using GetProcAddress = CUresult (*)(const char*, void**, int, cuuint64_t,
                                    CUdriverProcAddressQueryResult*);

// The function in "gpu_->driver().cuMemAlloc(&p, 8)", as the macros write calls down.
std::string_view function_of(std::string_view call) {
  if (const size_t member = call.find(".cu"); member != std::string_view::npos) call.remove_prefix(member + 1);
  return call.substr(0, call.find('('));
}

}  // namespace

std::string version_text(int version) { return cat(version / 1000, ".", version % 1000 / 10); }

Status driver_status(CUresult result, std::string_view call) {
  if (result == CUDA_SUCCESS) return ok_status();
  const char *name = nullptr, *words = nullptr;
  if (const Result<Driver>& loaded = driver(); loaded.ok()) {
    loaded->cuGetErrorName(result, &name);
    loaded->cuGetErrorString(result, &words);
  }
  const std::string message = cat(function_of(call), ": ", name ? name : "CUDA error", " (", int(result), ")",
                                  words ? ", " : "", words ? words : "");
  switch (result) {
    case CUDA_ERROR_OUT_OF_MEMORY: return resource_exhausted(message);
    case CUDA_ERROR_NO_BINARY_FOR_GPU:
    case CUDA_ERROR_INVALID_IMAGE:
    case CUDA_ERROR_INVALID_SOURCE:
    case CUDA_ERROR_UNSUPPORTED_PTX_VERSION: return Status(Code::kIncompatible, message);
    default: return Status(Code::kDeviceError, message);
  }
}

Result<Driver> load_driver(const std::string& path) {
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library)
    return not_found(cat("no CUDA driver: ", dlerror(), "; the NVIDIA driver's ", path,
                         " is needed to run on a GPU"));
  const auto get =
      reinterpret_cast<GetProcAddress>(dlsym(library, "cuGetProcAddress_v2"));
  const auto get_version =
      reinterpret_cast<CUresult (*)(int*)>(dlsym(library, "cuDriverGetVersion"));
  Driver driver;
  if (get_version) get_version(&driver.version);
  if (!get || driver.version < kMinDriverVersion)
    return Status(Code::kIncompatible,
                  cat("the CUDA driver ", path, " is of version ", version_text(driver.version),
                      ", expected at least ", version_text(kMinDriverVersion)));
  std::string missing;
#define PLANISH_CUDA_FIND(name, parameters)                                                        \
  {                                                                                                \
    void* found = nullptr;                                                                         \
    CUdriverProcAddressQueryResult outcome = CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;                 \
    if (get(#name, &found, kMinDriverVersion, CU_GET_PROC_ADDRESS_DEFAULT, &outcome) != CUDA_SUCCESS || \
        !found)                                                                                    \
      missing += cat(missing.empty() ? "" : ", ", #name);                                          \
    driver.name = reinterpret_cast<decltype(driver.name)>(found);                                  \
  }
  PLANISH_CUDA_DRIVER_FUNCTIONS(PLANISH_CUDA_FIND)
#undef PLANISH_CUDA_FIND
  if (!missing.empty())
    return Status(Code::kIncompatible, cat("the CUDA driver ", path, " lacks ", missing));
  const auto begin = std::chrono::steady_clock::now();
  const CUresult started = driver.cuInit(0);
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
  PLANISH_LOG(kInfo, "the CUDA driver started in ", took.count(), " ms");
  if (const CUresult result = started; result != CUDA_SUCCESS) {
    const char* words = nullptr;
    driver.cuGetErrorString(result, &words);
    const Code code = result == CUDA_ERROR_NO_DEVICE ? Code::kNotFound : Code::kDeviceError;
    return Status(code, cat("the CUDA driver does not start: cuInit gives ", int(result),
                            words ? ", " : "", words ? words : ""));
  }
  return driver;
}

const Result<Driver>& driver() {
  static const Result<Driver>& the_driver = *new Result<Driver>([] {
    const char* path = std::getenv("PLANISH_CUDA_DRIVER");
    return load_driver(path && *path ? path : "libcuda.so.1");
  }());
  return the_driver;
}

}  // namespace planish::cuda
