// What a host may bring, as public functions: log, plugins, devices.
#include "planish/host.h"

#include "api/runtime/convert.h"
#include "api/runtime/registry.h"
#include "base/log.h"
#include "base/text.h"

namespace planish::v1 {

static_assert(int(LogLevel::kTrace) == int(planish::LogLevel::kTrace));

void set_log_level(LogLevel level) { planish::set_log_level(planish::LogLevel(level)); }
LogLevel log_level() { return LogLevel(planish::log_level()); }

void set_log_callback(LogCallback callback) {
  if (!callback) {
    planish::set_log_sink(nullptr);
    return;
  }
  planish::set_log_sink(
      [callback = std::move(callback)](planish::LogLevel level, std::string_view message) {
        callback(LogLevel(level), message);
      });
}

Status load_plugin(const std::string& path) {
  return api::guarded([&] { return api::to_public(api::add_plugin(path)); });
}

std::vector<std::string> loaded_plugins() {
  std::vector<std::string> names;
  for (const auto& plugin : api::current_registry()->plugins) names.push_back(plugin->identity);
  return names;
}

std::vector<DeviceDesc> devices() {
  std::vector<DeviceDesc> out;
  for (const api::BackendEntry& entry : api::backends()) {
    DeviceDesc desc;
    desc.kind = entry.kind;
    desc.reason = entry.reason;
    if (entry.backend) {
      auto device = entry.backend->device(0, 0);
      if (device.ok()) {
        const kernel::DeviceInfo& info = (*device)->info();
        desc.name = info.name;
        desc.isa = info.isa;
        desc.index = api::index_of(info);
        desc.threads = info.threads;
        desc.available = true;
      } else {
        desc.reason = device.status().message();
      }
    }
    out.push_back(std::move(desc));
  }
  return out;
}

}  // namespace planish::v1
