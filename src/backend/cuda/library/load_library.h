// What cuBLASLt and cuDNN share when they are loaded: once per set of places, with a warning when asked
// for in vain.
#pragma once
#include <dlfcn.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "backend/cuda/library/find_library.h"
#include "base/log.h"
#include "base/text.h"

namespace planish::cuda {

// Libraries by the places they were looked for in, so that a change of the environment variable is heard.
template <class Library>
class LoadedLibraries {
 public:
  // `fill(library, handle)` finds the functions and gives the Status of that.
  template <class Fill>
  Result<const Library*> get(std::string_view title, const LibrarySearch& search, const Fill& fill) {
    const char* chosen = std::getenv(search.variable);
    std::lock_guard lock(mutex_);
    auto [at, is_new] = loaded_.try_emplace(chosen ? chosen : "");
    if (is_new) {
      at->second = load(title, search, fill);
      if (!at->second.status.ok())
        PLANISH_LOG(kWarning, at->second.status.message(), "; kernels of our own are taken");
    }
    if (!at->second.status.ok()) return at->second.status;
    return static_cast<const Library*>(at->second.library.get());
  }

 private:
  struct Entry {
    Status status;
    std::unique_ptr<Library> library;
  };
  template <class Fill>
  static Entry load(std::string_view title, const LibrarySearch& search, const Fill& fill) {
    auto handle = open_library(search);
    if (!handle.ok()) return {not_found(cat("no ", title, ": ", handle.status().message())), nullptr};
    Entry entry{ok_status(), std::make_unique<Library>()};
    entry.status = fill(*entry.library, *handle);
    return entry;
  }

  std::mutex mutex_;
  std::map<std::string, Entry> loaded_;
};

// PLANISH_FIND_FUNCTION fills the member `name` of `library` from the shared object `handle`, or appends
// the name to the text `missing`.
#define PLANISH_FIND_FUNCTION(name, result, parameters)                                   \
  library.name = reinterpret_cast<decltype(library.name)>(dlsym(handle, #name));          \
  if (!library.name) missing += ::planish::cat(missing.empty() ? "" : ", ", #name);

}  // namespace planish::cuda
