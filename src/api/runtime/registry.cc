#include "api/runtime/registry.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <mutex>
#include <set>

#include "api/runtime/backend_library.h"
#include "backend/cpu/cpu_backend.h"
#include "base/log.h"
#include "base/text.h"
#include "eval/control_kernel.h"
#include "eval/reference_kernel.h"
#include "kernel/library_kernel.h"
#include "ops/register_ops.h"

namespace planish::api {
namespace {

struct State {
  std::mutex mutex;
  std::shared_ptr<const Registry> registry;
};

// Never destroyed: engines of static life may outlast everything else.
State& state() {
  static State& the_state = *new State();
  return the_state;
}

Result<std::shared_ptr<const Registry>> make_registry(
    std::vector<std::shared_ptr<const LoadedPlugin>> plugins) {
  auto registry = std::make_shared<Registry>();
  ops::register_all_ops(registry->ops);
  for (const auto& plugin : plugins)
    PLANISH_RETURN_IF_ERROR(register_plugin_ops(*plugin, registry->ops));
  for (const BackendEntry& entry : backends())
    if (entry.backend) entry.backend->register_kernels(registry->kernels);
  for (const auto& plugin : plugins)
    PLANISH_RETURN_IF_ERROR(register_plugin_kernels(*plugin, registry->kernels));
  registry->kernels.add(eval::make_reference_kernel(registry->ops));
  registry->kernels.add(eval::make_control_kernel(registry->ops));
  registry->plugins = std::move(plugins);
  return std::shared_ptr<const Registry>(std::move(registry));
}

std::vector<BackendEntry> find_backends() {
  std::vector<BackendEntry> entries;
  entries.push_back({"cpu", cpu::make_cpu_backend().release(), ""});
  // Backends that need a library or a driver are shared objects of their own.
  for (const std::string_view name : {"onednn", "cuda"}) {
    auto loaded = load_backend_library(name);
    BackendEntry entry{std::string(name), nullptr, ""};
    if (loaded.ok()) {
      entry.backend = *loaded;
      if (const Status status = entry.backend->available(); !status.ok()) {
        entry.reason = status.message();
        entry.backend = nullptr;
      }
    } else {
      entry.reason = loaded.status().message();
    }
    if (!entry.backend) PLANISH_LOG(kInfo, "backend ", name, " is absent: ", entry.reason);
    entries.push_back(std::move(entry));
  }
  return entries;
}

}  // namespace

const std::vector<BackendEntry>& backends() {
  static const std::vector<BackendEntry>& entries =
      *new std::vector<BackendEntry>(find_backends());
  return entries;
}

bool calls_libraries(const plan::Program& program, const kernel::KernelRegistry& kernels) {
  bool found = false;
  plan::for_each_step(program, [&](const plan::Step& step) {
    found |= dynamic_cast<const kernel::LibraryKernel*>(kernels.find(step.kernel)) != nullptr;
  });
  return found;
}

std::vector<std::string> libraries_of(const plan::Program& program, const kernel::KernelRegistry& kernels) {
  std::vector<std::string> out;
  for (const BackendEntry& entry : backends()) {
    if (entry.kind == "cpu") continue;  // in libplanish_runtime.so itself
    bool used = false;
    plan::for_each_step(program, [&](const plan::Step& step) {
      used |= step.kernel.starts_with(cat(entry.kind, "."));
    });
    if (used) out.push_back(cat(library_file(entry.kind), " ", PLANISH_VERSION));
  }
  std::set<std::string> called;
  plan::for_each_step(program, [&](const plan::Step& step) {
    const auto* kernel = dynamic_cast<const kernel::LibraryKernel*>(kernels.find(step.kernel));
    if (!kernel) return;
    if (auto name = kernel->requirement(step.artifact); name.ok()) called.insert(std::move(*name));
  });
  out.insert(out.end(), called.begin(), called.end());
  return out;
}

planish::Status check_libraries(const plan::Program& program, const kernel::KernelRegistry& kernels) {
  for (const BackendEntry& entry : backends()) {
    if (entry.backend || entry.kind == program.device_kind) continue;
    std::set<std::string> missing;
    plan::for_each_step(program, [&](const plan::Step& step) {
      if (step.kernel.starts_with(cat(entry.kind, "."))) missing.insert(step.kernel);
    });
    if (!missing.empty())
      return Status(Code::kIncompatible,
                    cat("the plan needs ", library_file(entry.kind), " for ",
                        join(std::vector<std::string>(missing.begin(), missing.end())), ": ",
                        entry.reason));
  }
  Status status;
  plan::for_each_step(program, [&](const plan::Step& step) {
    const auto* kernel = dynamic_cast<const kernel::LibraryKernel*>(kernels.find(step.kernel));
    if (kernel && status.ok()) status = kernel->check_library(step.artifact);
  });
  return status;
}

std::shared_ptr<const Registry> current_registry() {
  std::lock_guard lock(state().mutex);
  if (!state().registry) {
    auto made = make_registry({});
    PLANISH_CHECK(made.ok(), made.status().to_string());
    state().registry = *made;
  }
  return state().registry;
}

Status add_plugin(const std::string& path) {
  const auto before = current_registry();
  PLANISH_ASSIGN_OR_RETURN(auto plugin, load_plugin_file(path));
  std::lock_guard lock(state().mutex);
  auto plugins = state().registry->plugins;
  for (const auto& known : plugins) {
    if (known->path == plugin->path) return ok_status();
    if (known->identity == plugin->identity) {
      return invalid_argument(cat("plugin ", path, ": '", plugin->identity,
                                  "' is loaded already, from ", known->path));
    }
  }
  plugins.push_back(plugin);
  PLANISH_ASSIGN_OR_RETURN(state().registry, make_registry(std::move(plugins)));
  PLANISH_LOG(kInfo, "plugin ", plugin->identity, " from ", plugin->path);
  return ok_status();
}

int index_of(const kernel::DeviceInfo& info) {
  const auto ordinal = info.properties.find("ordinal");
  return ordinal == info.properties.end() ? 0 : std::atoi(ordinal->second.c_str());
}

Result<std::shared_ptr<backend::Device>> find_device(const std::string& text, int threads) {
  const size_t colon = text.find(':');
  const std::string kind = text.substr(0, colon);
  int index = 0;
  if (colon != std::string::npos) {
    const char* begin = text.data() + colon + 1;
    const char* end = text.data() + text.size();
    const auto parsed = std::from_chars(begin, end, index);
    if (parsed.ec != std::errc() || parsed.ptr != end || index < 0)
      return invalid_argument(cat("device '", text, "': expected a number behind the ':'"));
  }
  if (threads < 0 || threads > 4096)
    return invalid_argument(cat("threads: got ", threads, ", expected 0 (all cores) to 4096"));
  std::vector<std::string> kinds;
  for (const BackendEntry& entry : backends()) {
    if (entry.kind == kind && !entry.backend)
      return not_found(cat("device '", text, "' is absent: ", entry.reason));
    if (entry.backend && entry.backend->kind() == kind) return entry.backend->device(index, threads);
    // oneDNN brings kernels and no device.
    if (entry.backend && entry.kind != "onednn") kinds.push_back(entry.kind);
  }
  return not_found(cat("no device '", text, "'; there is: ", join(kinds)));
}

}  // namespace planish::api
