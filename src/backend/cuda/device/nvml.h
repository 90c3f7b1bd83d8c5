// Clocks and power by NVML, the driver's management library, loaded at run time.
#pragma once
#include <string>

#include "backend/api/backend.h"

namespace planish::cuda {

// Of the GPU with this PCI bus id. kNotFound without the library ($PLANISH_NVML, else
// libnvidia-ml.so.1); kDeviceError with NVML's number when it refuses the GPU.
Result<backend::DeviceState> nvml_state(const std::string& pci_bus_id);

}  // namespace planish::cuda
