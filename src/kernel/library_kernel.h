// LibraryKernel: a KernelDef whose work is done by a library that the user installs (cuBLASLt, cuDNN).
//
// It takes part only where the device's property `libraries` says so (--allow-libraries), and beside the
// kernels that the project brings, not in place of one of them. What it compiles belongs to one version
// of its library, which a plan lists.
#pragma once
#include <cstddef>
#include <span>
#include <string>

#include "base/status.h"
#include "kernel/kernel_def.h"

namespace planish::kernel {

inline constexpr std::string_view kLibrariesProperty = "libraries";
// Its values: a build may choose among what the libraries propose; a plan's steps are loaded, whatever
// is installed here (check_library() looks).
inline constexpr std::string_view kLibrariesRace = "race", kLibrariesLoad = "load";

inline std::string libraries_use(const DeviceInfo& device) {
  const auto found = device.properties.find(std::string(kLibrariesProperty));
  return found == device.properties.end() ? std::string() : found->second;
}

class LibraryKernel {
 public:
  virtual ~LibraryKernel() = default;
  // The library that an artifact was made with, and its version: "cuBLASLt 13.1".
  virtual Result<std::string> requirement(std::span<const std::byte> artifact) const = 0;
  // Ok when a step with this artifact can be bound here: by the library, or by a kernel of our own made
  // in its place. kIncompatible names the library, the version wanted and what was found.
  virtual Status check_library(std::span<const std::byte> artifact) const = 0;
};

}  // namespace planish::kernel
