// Shared objects of NVIDIA's that are loaded at run time: where they are looked for.
//
// An environment variable names the one file to take. Else the loader's own search by each name, then
// CUDA's folders, then the folders of NVIDIA's Python packages in the virtual environment that is active
// or that holds the `python3` found first.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace planish::cuda {

struct LibrarySearch {
  const char* variable;                    // "PLANISH_CUBLASLT"
  std::vector<std::string_view> names;     // "libcublasLt.so.13", newest first
  std::vector<std::string_view> packages;  // folders below site-packages/nvidia
};

std::vector<std::string> library_places(const LibrarySearch& search);

// The handle of the first that loads; kNotFound names what was tried and the loader's first words.
Result<void*> open_library(const LibrarySearch& search);

}  // namespace planish::cuda
