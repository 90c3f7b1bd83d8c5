// Loading and validating a plugin's description.
#include "api/runtime/plugin_host.h"

#include <dlfcn.h>

#include <cstdlib>

#include "api/runtime/plugin_view.h"
#include "base/text.h"

namespace planish::api {
namespace {

bool is_text(const char* text) { return text && *text; }

Status check_op(const planish_plugin_op* op) {
  if (!op || !PLANISH_PLUGIN_HAS(op, evaluate))
    return invalid_argument("an operator's description is missing or too short");
  if (!is_text(op->name)) return invalid_argument("an operator has no name");
  const auto at = [&](std::string_view what) {
    return invalid_argument(cat("operator '", op->name, "': ", what));
  };
  if (!op->infer || !op->evaluate) return at("infer or evaluate is null");
  if (op->input_count < 0 || op->input_count > 1024 || (op->input_count && !op->inputs))
    return at(cat("input_count is ", op->input_count));
  if (op->output_count < 1 || op->output_count > 1024 || !op->outputs)
    return at(cat("output_count is ", op->output_count, ", expected at least 1"));
  if (op->attribute_count < 0 || op->attribute_count > 1024 ||
      (op->attribute_count && !op->attributes))
    return at(cat("attribute_count is ", op->attribute_count));
  for (int i = 0; i < op->input_count; ++i)
    if (!op->inputs[i] || !is_text(op->inputs[i]->name)) return at(cat("input ", i, " is unnamed"));
  for (int i = 0; i < op->output_count; ++i)
    if (!op->outputs[i] || !is_text(op->outputs[i]->name))
      return at(cat("output ", i, " is unnamed"));
  for (int i = 0; i < op->attribute_count; ++i) {
    const planish_plugin_attribute* attribute = op->attributes[i];
    if (!attribute || !is_text(attribute->name)) return at(cat("attribute ", i, " is unnamed"));
    if (attribute->kind < PLANISH_PLUGIN_INT || attribute->kind > PLANISH_PLUGIN_FLOATS)
      return at(cat("attribute '", attribute->name, "' has kind ", attribute->kind));
  }
  return ok_status();
}

Status check_kernel(const planish_plugin_kernel* kernel) {
  if (!kernel || !PLANISH_PLUGIN_HAS(kernel, run))
    return invalid_argument("a kernel's description is missing or too short");
  if (!is_text(kernel->name) || !is_text(kernel->op) || !is_text(kernel->device))
    return invalid_argument("a kernel lacks its name, operator or device");
  if (!kernel->supports || !kernel->predict_us || !kernel->run)
    return invalid_argument(cat("kernel '", kernel->name, "': supports, predict_us or run is null"));
  return ok_status();
}

Status check_plugin(const planish_plugin* plugin) {
  if (!plugin) {
    return Status(Code::kIncompatible,
                  cat("the plugin does not work with plugin ABI ", PLANISH_PLUGIN_ABI));
  }
  if (!PLANISH_PLUGIN_HAS(plugin, kernels) || plugin->abi != PLANISH_PLUGIN_ABI) {
    return Status(Code::kIncompatible,
                  cat("the plugin has ABI ", plugin->abi, ", expected ", PLANISH_PLUGIN_ABI));
  }
  if (!is_text(plugin->name) || !is_text(plugin->version))
    return invalid_argument("the plugin has no name or version");
  if (plugin->op_count < 0 || plugin->kernel_count < 0 || (plugin->op_count && !plugin->ops) ||
      (plugin->kernel_count && !plugin->kernels))
    return invalid_argument("the plugin's lists of operators or kernels are broken");
  for (int i = 0; i < plugin->op_count; ++i) PLANISH_RETURN_IF_ERROR(check_op(plugin->ops[i]));
  for (int i = 0; i < plugin->kernel_count; ++i)
    PLANISH_RETURN_IF_ERROR(check_kernel(plugin->kernels[i]));
  return ok_status();
}

}  // namespace

Result<std::shared_ptr<const LoadedPlugin>> load_plugin_file(const std::string& path) {
  // The canonical path tells two names of one plugin apart from two plugins, and keeps dlopen from
  // searching library folders.
  char* canonical = realpath(path.c_str(), nullptr);
  if (!canonical) return not_found(cat("plugin ", path, ": no such file"));
  auto plugin = std::make_shared<LoadedPlugin>();
  plugin->path = canonical;
  std::free(canonical);
  void* library = dlopen(plugin->path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) return invalid_argument(cat("plugin ", path, ": ", dlerror()));
  const auto entry =
      reinterpret_cast<planish_plugin_entry_function>(dlsym(library, "planish_plugin_entry"));
  if (!entry) {
    dlclose(library);
    return invalid_argument(cat("plugin ", path, ": it exports no planish_plugin_entry"));
  }
  plugin->description = entry(PLANISH_PLUGIN_ABI);
  if (Status status = check_plugin(plugin->description); !status.ok()) {
    dlclose(library);
    return status.at(cat("plugin ", path));
  }
  plugin->identity = cat(plugin->description->name, " ", plugin->description->version);
  return std::shared_ptr<const LoadedPlugin>(std::move(plugin));
}

}  // namespace planish::api
