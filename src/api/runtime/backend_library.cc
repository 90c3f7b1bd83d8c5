#include "api/runtime/backend_library.h"

#include <dlfcn.h>

#include <filesystem>

#include "base/text.h"

namespace planish::api {
namespace {

// The folder of the library (or program) that holds this function.
std::filesystem::path own_folder() {
  Dl_info info{};
  if (!dladdr(reinterpret_cast<const void*>(&own_folder), &info) || !info.dli_fname) return {};
  std::error_code error;
  return std::filesystem::canonical(info.dli_fname, error).parent_path();
}

}  // namespace

std::string library_file(std::string_view name) { return cat("libplanish_", name, ".so"); }

Result<backend::Backend*> load_backend_library(std::string_view name) {
  const std::string file = library_file(name);
  const std::filesystem::path path = own_folder() / file;
  std::error_code error;
  if (!std::filesystem::exists(path, error))
    return not_found(cat(file, " is not installed beside libplanish_runtime.so"));
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) return Status(Code::kIncompatible, cat(file, ": ", dlerror()));
  const auto entry =
      reinterpret_cast<BackendEntryFunction>(dlsym(library, "planish_backend_entry"));
  if (!entry) return Status(Code::kIncompatible, cat(file, " exports no planish_backend_entry"));
  backend::Backend* backend = entry(PLANISH_VERSION);
  if (!backend)
    return Status(Code::kIncompatible, cat(file, " belongs to another version than ", PLANISH_VERSION));
  return backend;
}

}  // namespace planish::api
