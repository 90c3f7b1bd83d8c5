// What this process can compute: operators, kernels, backends and plugins.
//
// A Registry is an immutable snapshot; networks, builds and engines keep the one they were made
// with. Loading a plugin makes a new snapshot, so nobody ever sees a registry change. Backends and
// their devices are shared by all snapshots.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "api/runtime/plugin_host.h"
#include "backend/api/backend.h"
#include "base/status.h"
#include "kernel/kernel_def.h"
#include "opdef/op_def.h"
#include "plan/program.h"

namespace planish::api {

struct Registry {
  opdef::OpRegistry ops;
  kernel::KernelRegistry kernels;
  std::vector<std::shared_ptr<const LoadedPlugin>> plugins;
};

// The newest snapshot; made on first use.
std::shared_ptr<const Registry> current_registry();

// Loads a plugin and makes a snapshot with it. Nothing happens when it is loaded already.
planish::Status add_plugin(const std::string& path);

// Backends of this process, and what could not be loaded with the reason.
struct BackendEntry {
  std::string kind;
  backend::Backend* backend = nullptr;  // null: absent
  std::string reason;
};
const std::vector<BackendEntry>& backends();

// Is some step's kernel a library's (kernel/library_kernel.h)?
bool calls_libraries(const plan::Program& program, const kernel::KernelRegistry& kernels);
// The backends' shared objects that some step's kernel comes from, with their version, and the libraries
// that kernels call (kernel/library_kernel.h).
std::vector<std::string> libraries_of(const plan::Program& program, const kernel::KernelRegistry& kernels);
// kIncompatible when one of them is absent here, with its kernels and the reason. The device's own
// is find_device()'s affair.
planish::Status check_libraries(const plan::Program& program, const kernel::KernelRegistry& kernels);

// "cpu", "cuda:1"; threads 0: all cores. kNotFound names the kinds there are.
planish::Result<std::shared_ptr<backend::Device>> find_device(const std::string& text,
                                                              int threads);
// A device's number among those of its kind.
int index_of(const kernel::DeviceInfo& info);

}  // namespace planish::api
