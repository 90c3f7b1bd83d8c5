#include "backend/cuda/library/cublaslt.h"

#include "backend/cuda/library/load_library.h"

namespace planish::cuda {

LibraryVersion CublasLt::version() const {
  const auto number = int(cublasLtGetVersion());  // 130100, and 12 has five digits: 120805
  return {"cuBLASLt", number / 10000, number / 100 % 100};
}

Status CublasLt::status(int result, std::string_view call) const {
  if (result == cublaslt::kSuccess) return ok_status();
  const std::string message = cat(call, ": ", cublasLtGetStatusString(result));
  return result == cublaslt::kAllocFailed ? resource_exhausted(message) : unsupported(message);
}

Result<const CublasLt*> cublaslt_library() {
  static auto& loaded = *new LoadedLibraries<CublasLt>();
  static const LibrarySearch search = {
      "PLANISH_CUBLASLT", {"libcublasLt.so.13", "libcublasLt.so.12"}, {"cu13", "cublas"}};
  return loaded.get("cuBLASLt", search, [](CublasLt& library, void* handle) -> Status {
    std::string missing;
    PLANISH_CUBLASLT_FUNCTIONS(PLANISH_FIND_FUNCTION)
    if (!missing.empty())
      return Status(Code::kIncompatible, cat("the cuBLASLt library found lacks ", missing));
    const LibraryVersion version = library.version();
    if (version.major < 12 || version.major > 13)
      return Status(Code::kIncompatible,
                    cat("the library found is ", version.text(), ", expected cuBLASLt 12 or 13"));
    return ok_status();
  });
}

Result<cublaslt::Handle> cublaslt_handle(const CublasLt& library, const Gpu& gpu) {
  static std::mutex& mutex = *new std::mutex();
  static auto& handles = *new std::map<std::pair<const void*, const void*>, cublaslt::Handle>();
  PLANISH_RETURN_IF_ERROR(gpu.make_current());
  std::lock_guard lock(mutex);
  cublaslt::Handle& handle = handles[{&library, &gpu}];
  if (!handle)
    if (Status s = library.status(library.cublasLtCreate(&handle), "cublasLtCreate"); !s.ok()) {
      handle = nullptr;
      return s;
    }
  return handle;
}

}  // namespace planish::cuda
