#include "backend/cuda/device/nvml.h"

#include <dlfcn.h>

#include <cstdlib>

#include "base/text.h"

namespace planish::cuda {
namespace {

// NVML's own names and numbers (nvml.h comes with the driver's development files only).
using NvmlDevice = void*;
constexpr int kClockSm = 1, kClockMemory = 2, kSensorGpu = 0;

struct Nvml {
  int (*init)() = nullptr;
  int (*by_bus)(const char*, NvmlDevice*) = nullptr;
  int (*clock)(NvmlDevice, int, unsigned*) = nullptr;
  int (*power)(NvmlDevice, unsigned*) = nullptr;
  int (*temperature)(NvmlDevice, int, unsigned*) = nullptr;
};

Result<Nvml> load() {
  const char* given = std::getenv("PLANISH_NVML");
  const char* path = given && *given ? given : "libnvidia-ml.so.1";
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) return not_found(cat("no NVML, which tells clocks and power: ", dlerror()));
  Nvml nvml;
  const char* missing = nullptr;
  const auto find = [&](auto& pointer, const char* name) {
    pointer = reinterpret_cast<std::remove_reference_t<decltype(pointer)>>(dlsym(library, name));
    if (!pointer) missing = name;
  };
  find(nvml.init, "nvmlInit_v2");
  find(nvml.by_bus, "nvmlDeviceGetHandleByPciBusId_v2");
  find(nvml.clock, "nvmlDeviceGetClockInfo");
  find(nvml.power, "nvmlDeviceGetPowerUsage");
  find(nvml.temperature, "nvmlDeviceGetTemperature");
  if (missing) return Status(Code::kIncompatible, cat("NVML (", path, ") lacks ", missing));
  if (const int result = nvml.init(); result != 0)
    return Status(Code::kDeviceError, cat("nvmlInit_v2 gives ", result));
  return nvml;
}

}  // namespace

Result<backend::DeviceState> nvml_state(const std::string& pci_bus_id) {
  static const Result<Nvml>& nvml = *new Result<Nvml>(load());
  if (!nvml.ok()) return nvml.status();
  NvmlDevice device = nullptr;
  if (const int result = nvml->by_bus(pci_bus_id.c_str(), &device); result != 0)
    return Status(Code::kDeviceError, cat("nvmlDeviceGetHandleByPciBusId_v2 gives ", result,
                                          " for GPU ", pci_bus_id));
  const auto read = [](auto&& ask) {
    unsigned value = 0;
    return ask(&value) == 0 ? double(value) : 0;
  };
  backend::DeviceState state;
  state.clock_mhz = read([&](unsigned* v) { return nvml->clock(device, kClockSm, v); });
  state.memory_clock_mhz = read([&](unsigned* v) { return nvml->clock(device, kClockMemory, v); });
  state.power_watts = read([&](unsigned* v) { return nvml->power(device, v); }) * 1e-3;
  state.temperature_c = read([&](unsigned* v) { return nvml->temperature(device, kSensorGpu, v); });
  return state;
}

}  // namespace planish::cuda
