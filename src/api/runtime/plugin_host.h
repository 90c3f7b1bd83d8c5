// The host's side of planish/plugin.h: loads a shared object, checks its description and offers its
// operators and kernels as OpDef and KernelDef.
#pragma once
#include <memory>
#include <string>

#include "base/status.h"
#include "kernel/kernel_def.h"
#include "opdef/op_def.h"
#include "planish/plugin.h"

namespace planish::api {

// A plugin in this process. It is never unloaded: plans, kernels and threads may hold its code.
struct LoadedPlugin {
  std::string path;      // canonical
  std::string identity;  // "name 1.2", as plans name it
  const planish_plugin* description = nullptr;
};

// Loads and validates. kNotFound, kIncompatible, kInvalidArgument.
Result<std::shared_ptr<const LoadedPlugin>> load_plugin_file(const std::string& path);

// The plugin's operators and kernels. kInvalidArgument for a name that is taken.
Status register_plugin_ops(const LoadedPlugin& plugin, opdef::OpRegistry& registry);
Status register_plugin_kernels(const LoadedPlugin& plugin, kernel::KernelRegistry& registry);

}  // namespace planish::api
