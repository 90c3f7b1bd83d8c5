// cuBLASLt, loaded at run time ($PLANISH_CUBLASLT, else where find_library.h looks).
#pragma once
#include <memory>

#include "backend/cuda/device/gpu.h"
#include "backend/cuda/library/cublaslt_abi.h"
#include "backend/cuda/library/library_kernel_def.h"

namespace planish::cuda {

struct CublasLt {
  using Algo = cublaslt::Algo;
  using Descriptor = cublaslt::Descriptor;
  using Handle = cublaslt::Handle;
  using HeuristicResult = cublaslt::HeuristicResult;
#define PLANISH_MEMBER(name, result, parameters) result(*name) parameters = nullptr;
  PLANISH_CUBLASLT_FUNCTIONS(PLANISH_MEMBER)
#undef PLANISH_MEMBER
  LibraryVersion version() const;
  // The library's words for a status that is no success; kUnsupported unless memory is short.
  Status status(int result, std::string_view call) const;
};

// The process's cuBLASLt. kNotFound: none, with the names that were tried; kIncompatible: it lacks a
// function, or is of no version that this code knows.
Result<const CublasLt*> cublaslt_library();

// The handle of a GPU, made once; several threads may use it at a time.
Result<cublaslt::Handle> cublaslt_handle(const CublasLt& library, const Gpu& gpu);

}  // namespace planish::cuda
