#include "backend/cuda/library/cudnn.h"

#include <utility>

#include "backend/cuda/emit/nvrtc.h"
#include "backend/cuda/library/cublaslt.h"
#include "backend/cuda/library/load_library.h"

namespace planish::cuda {
namespace {

struct FreeHandles {
  std::mutex mutex;
  std::map<std::pair<const void*, const void*>, std::vector<cudnn::Handle>> handles;
};
FreeHandles& free_handles() {
  static FreeHandles& handles = *new FreeHandles();
  return handles;
}

}  // namespace

LibraryVersion Cudnn::version() const {
  const auto number = int(cudnnGetVersion());  // 91900: 9.19.0
  return {"cuDNN", number / 10000, number / 100 % 100};
}

Status Cudnn::status(int result, std::string_view call) const {
  if (result == cudnn::kSuccess) return ok_status();
  char words[512] = {};
  cudnnGetLastErrorString(words, sizeof(words));
  const std::string message = cat(call, ": ", cudnnGetErrorString(result), words[0] ? ", " : "", words);
  return result == cudnn::kStatusAllocFailed ? resource_exhausted(message) : unsupported(message);
}

Result<const Cudnn*> cudnn_library() {
  static auto& loaded = *new LoadedLibraries<Cudnn>();
  static const LibrarySearch search = {"PLANISH_CUDNN", {"libcudnn.so.9"}, {"cudnn"}};
  return loaded.get("cuDNN", search, [](Cudnn& library, void* handle) -> Status {
    std::string missing;
    PLANISH_CUDNN_FUNCTIONS(PLANISH_FIND_FUNCTION)
    if (!missing.empty())
      return Status(Code::kIncompatible, cat("the cuDNN library found lacks ", missing));
    if (const LibraryVersion version = library.version(); version.major != 9)
      return Status(Code::kIncompatible,
                    cat("the library found is ", version.text(), ", expected cuDNN 9"));
    // Some of its engines ask the loader for these by name: what is loaded already is found.
    (void)cublaslt_library();
    (void)nvrtc_available();
    return ok_status();
  });
}

Result<CudnnHandle> CudnnHandle::take(const Cudnn& library, const Gpu& gpu) {
  PLANISH_RETURN_IF_ERROR(gpu.make_current());
  FreeHandles& pool = free_handles();
  {
    std::lock_guard lock(pool.mutex);
    auto& free = pool.handles[{&library, &gpu}];
    if (!free.empty()) {
      cudnn::Handle handle = free.back();
      free.pop_back();
      return CudnnHandle(library, gpu, handle);
    }
  }
  cudnn::Handle handle = nullptr;
  PLANISH_RETURN_IF_ERROR(library.status(library.cudnnCreate(&handle), "cudnnCreate"));
  return CudnnHandle(library, gpu, handle);
}

CudnnHandle::CudnnHandle(CudnnHandle&& other) noexcept
    : library_(other.library_), gpu_(other.gpu_), handle_(std::exchange(other.handle_, nullptr)) {}

CudnnHandle::~CudnnHandle() {
  if (!handle_) return;
  FreeHandles& pool = free_handles();
  std::lock_guard lock(pool.mutex);
  pool.handles[{library_, gpu_}].push_back(handle_);
}

CudnnDescriptor::CudnnDescriptor(const Cudnn& library, cudnn::Kind kind) : library_(&library) {
  status_ = library.status(library.cudnnBackendCreateDescriptor(kind, &descriptor_),
                           "cudnnBackendCreateDescriptor");
}

CudnnDescriptor::CudnnDescriptor(CudnnDescriptor&& other) noexcept
    : library_(other.library_), descriptor_(std::exchange(other.descriptor_, nullptr)),
      status_(std::move(other.status_)) {}

CudnnDescriptor::~CudnnDescriptor() {
  if (descriptor_) library_->cudnnBackendDestroyDescriptor(descriptor_);
}

void CudnnDescriptor::set(cudnn::Attribute attribute, cudnn::Type type, int64_t count, const void* values) {
  if (!status_.ok()) return;
  status_ = library_->status(
      library_->cudnnBackendSetAttribute(descriptor_, attribute, type, count, values),
      "cudnnBackendSetAttribute");
  if (!status_.ok()) status_ = status_.at(cat("attribute ", int(attribute)));
}

int64_t CudnnDescriptor::read(cudnn::Attribute attribute, cudnn::Type type, int64_t wanted, void* values) {
  int64_t count = 0;
  if (!status_.ok()) return 0;
  const Status status = library_->status(
      library_->cudnnBackendGetAttribute(descriptor_, attribute, type, wanted, &count, values),
      "cudnnBackendGetAttribute");
  return status.ok() ? count : 0;
}

Status CudnnDescriptor::finalize() {
  if (status_.ok())
    status_ = library_->status(library_->cudnnBackendFinalize(descriptor_), "cudnnBackendFinalize");
  return status_;
}

}  // namespace planish::cuda
