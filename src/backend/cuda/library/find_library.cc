#include "backend/cuda/library/find_library.h"

#include <dlfcn.h>
#include <glob.h>

#include <cstdlib>
#include <filesystem>

#include "base/text.h"

namespace planish::cuda {
namespace {

namespace fs = std::filesystem;

// Roots of Python environments: $VIRTUAL_ENV, and the parent of the folder of the first python3 on $PATH.
std::vector<std::string> python_roots() {
  std::vector<std::string> roots;
  if (const char* environment = std::getenv("VIRTUAL_ENV"); environment && *environment)
    roots.emplace_back(environment);
  const char* path = std::getenv("PATH");
  std::string_view rest = path ? path : "";
  while (!rest.empty()) {
    const size_t colon = rest.find(':');
    const fs::path folder(rest.substr(0, colon));
    rest = colon == std::string_view::npos ? std::string_view() : rest.substr(colon + 1);
    std::error_code error;
    if (folder.empty() || !fs::exists(folder / "python3", error)) continue;
    roots.push_back(folder.parent_path().string());
    break;
  }
  return roots;
}

}  // namespace

std::vector<std::string> library_places(const LibrarySearch& search) {
  if (const char* path = std::getenv(search.variable); path && *path) return {path};
  std::vector<std::string> out(search.names.begin(), search.names.end());
  std::vector<std::string> patterns;
  for (std::string_view name : search.names) {
    patterns.push_back(cat("/usr/local/cuda*/lib*/", name));
    patterns.push_back(cat("/usr/local/cuda*/targets/*/lib/", name));
    for (const std::string& root : python_roots())
      for (std::string_view package : search.packages)
        patterns.push_back(cat(root, "/lib/python3*/site-packages/nvidia/", package, "/lib/", name));
  }
  for (const std::string& pattern : patterns) {
    glob_t found{};
    if (glob(pattern.c_str(), 0, nullptr, &found) == 0)
      for (size_t i = 0; i < found.gl_pathc; ++i) out.emplace_back(found.gl_pathv[i]);
    globfree(&found);
  }
  return out;
}

Result<void*> open_library(const LibrarySearch& search) {
  std::string said;
  const std::vector<std::string> places = library_places(search);
  for (const std::string& place : places) {
    if (void* library = dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL)) return library;
    if (const char* error = dlerror(); error && said.empty()) said = error;
  }
  return not_found(cat("tried ", join(places), " (", said, "); $", search.variable,
                       " may name the file"));
}

}  // namespace planish::cuda
