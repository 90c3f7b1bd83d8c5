#include "kernel/kernel_def.h"

#include <charconv>

#include "base/text.h"

namespace planish::kernel {

int64_t Tactic::get(std::string_view key, int64_t fallback) const {
  auto found = params.find(std::string(key));
  return found == params.end() ? fallback : found->second;
}

std::string Tactic::to_string() const {
  std::vector<std::string> parts;
  for (const auto& [key, value] : params) parts.push_back(cat(key, "=", value));
  return join(parts, ",");
}

Result<Tactic> Tactic::parse(std::string_view text) {
  Tactic tactic;
  if (text.empty()) return tactic;
  for (const std::string& part : split(text, ',')) {
    const size_t eq = part.find('=');
    int64_t value = 0;
    const char* end = part.data() + part.size();
    if (eq == 0 || eq == part.npos ||
        std::from_chars(part.data() + eq + 1, end, value).ptr != end)
      return invalid_argument(cat("tactic '", text, "': expected key=integer, got '", part, "'"));
    tactic.params[part.substr(0, eq)] = value;
  }
  return tactic;
}

std::vector<LayoutChoice> KernelDef::layouts(const Problem& problem, const DeviceInfo&) const {
  return {{std::vector<ir::Layout>(problem.operands.size()),
           std::vector<ir::Layout>(problem.results.size())}};
}

std::vector<Tactic> KernelDef::tactics(const Problem&, const DeviceInfo&) const { return {{}}; }

void KernelRegistry::add(std::unique_ptr<KernelDef> kernel) {
  PLANISH_CHECK(!find(kernel->name()), cat("kernel ", kernel->name(), " is registered twice"));
  kernels_.push_back(std::move(kernel));
}

const KernelDef* KernelRegistry::find(std::string_view name) const {
  for (const auto& kernel : kernels_)
    if (kernel->name() == name) return kernel.get();
  return nullptr;
}

}  // namespace planish::kernel
