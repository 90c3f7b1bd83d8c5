// The CPU as a backend: one device whose memory is the host's. Kernels run on the caller's thread
// and the ThreadTeam of the context.
#pragma once
#include <memory>

#include "backend/api/backend.h"

namespace planish::cpu {

std::unique_ptr<backend::Backend> make_cpu_backend();

// What this machine is: name, instruction set (capped by PLANISH_ISA), caches, cores. Rates for the
// cost model are estimates from clock and vector width, not measurements.
kernel::DeviceInfo describe_machine(int threads);

}  // namespace planish::cpu
