// A device whose host memory comes from the host's allocator; all else is the device's own.
#pragma once
#include <memory>

#include "backend/api/backend.h"
#include "planish/host.h"

namespace planish::api {

std::shared_ptr<backend::Device> with_host_allocator(std::shared_ptr<backend::Device> device,
                                                     const v1::HostAllocator& allocator);

}  // namespace planish::api
