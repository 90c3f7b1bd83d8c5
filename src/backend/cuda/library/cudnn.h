// cuDNN's graph interface, loaded at run time ($PLANISH_CUDNN, else where find_library.h looks).
#pragma once
#include <memory>
#include <span>

#include "backend/cuda/device/gpu.h"
#include "backend/cuda/library/cudnn_abi.h"
#include "backend/cuda/library/library_kernel_def.h"

namespace planish::cuda {

struct Cudnn {
  using Attribute = cudnn::Attribute;
  using Descriptor = cudnn::Descriptor;
  using Handle = cudnn::Handle;
  using Kind = cudnn::Kind;
  using Type = cudnn::Type;
#define PLANISH_MEMBER(name, result, parameters) result(*name) parameters = nullptr;
  PLANISH_CUDNN_FUNCTIONS(PLANISH_MEMBER)
#undef PLANISH_MEMBER
  LibraryVersion version() const;
  // The library's words for a status that is no success; kUnsupported unless memory is short.
  Status status(int result, std::string_view call) const;
};

// The process's cuDNN. kNotFound: none, with the names that were tried; kIncompatible: it lacks a
// function, or is of another major version than 9.
Result<const Cudnn*> cudnn_library();

// A handle of a GPU for one thread's use: taken from those that are free, given back at the end.
class CudnnHandle {
 public:
  static Result<CudnnHandle> take(const Cudnn& library, const Gpu& gpu);
  CudnnHandle(CudnnHandle&& other) noexcept;
  CudnnHandle& operator=(CudnnHandle&&) = delete;
  ~CudnnHandle();
  cudnn::Handle get() const { return handle_; }

 private:
  CudnnHandle(const Cudnn& library, const Gpu& gpu, cudnn::Handle handle)
      : library_(&library), gpu_(&gpu), handle_(handle) {}
  const Cudnn* library_;
  const Gpu* gpu_;
  cudnn::Handle handle_;
};

// One backend descriptor. Errors stay: status() tells the first.
class CudnnDescriptor {
 public:
  CudnnDescriptor(const Cudnn& library, cudnn::Kind kind);
  CudnnDescriptor(CudnnDescriptor&& other) noexcept;
  CudnnDescriptor& operator=(CudnnDescriptor&&) = delete;
  ~CudnnDescriptor();

  template <class T>
  void set(cudnn::Attribute attribute, cudnn::Type type, std::span<const T> values) {
    set(attribute, type, int64_t(values.size()), values.data());
  }
  template <class T>
  void set(cudnn::Attribute attribute, cudnn::Type type, const T& value) {
    set(attribute, type, 1, &value);
  }
  void set(cudnn::Attribute attribute, const CudnnDescriptor& value) {
    set(attribute, cudnn::Type::kDescriptor, value.get());
  }
  // Number of elements there are, at most `wanted` of which are written to `values`; 0 behind an error.
  int64_t read(cudnn::Attribute attribute, cudnn::Type type, int64_t wanted, void* values);
  Status finalize();
  const Status& status() const { return status_; }
  cudnn::Descriptor get() const { return descriptor_; }

 private:
  void set(cudnn::Attribute attribute, cudnn::Type type, int64_t count, const void* values);
  const Cudnn* library_;
  cudnn::Descriptor descriptor_ = nullptr;
  Status status_;
};

}  // namespace planish::cuda
