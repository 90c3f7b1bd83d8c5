// NVRTC, loaded at run time, and the cache of what it compiled.
//
// A cubin's key is the content of everything that decides it: generator version, source, options,
// architecture, NVRTC's version. Cache files are written beside and renamed; one that is damaged is
// compiled anew. Thread-safe: kernels of a race are compiled by several threads at once.
#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "backend/cuda/emit/ptxas_report.h"
#include "base/status.h"

namespace planish::cuda {

struct CompiledSource {
  std::shared_ptr<const std::vector<std::byte>> cubin;
  std::string log;     // warnings; empty when the cubin came from the cache
  PtxasReport report;  // registers, stack, spills; kept in the cache
};

// Ok, or what is missing: searched are $PLANISH_NVRTC, the loader's path, CUDA toolkits under
// /usr/local and the Python packages nvidia-cuda-nvrtc of the environment in use.
Status nvrtc_available();
// The same for kernels of `arch` ("sm_90a"): kUnsupported names what this NVRTC compiles for.
Status compiles_for(const std::string& arch);
// "13.0"; empty without NVRTC.
std::string nvrtc_version();

// `arch`: "sm_90a". As compiles_for(); kInternal with the compiler's words when our text is
// wrong.
Result<CompiledSource> compile_source(const std::string& source, const std::string& arch);

// The folder of cached cubins: $PLANISH_CUDA_CACHE, else $XDG_CACHE_HOME/planish/cuda, else
// ~/.cache/planish/cuda; empty (no cache) when none is an absolute path.
std::string cubin_cache_folder();

}  // namespace planish::cuda
