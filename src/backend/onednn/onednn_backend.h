// oneDNN as a backend without a device of its own: it registers kernels for device "cpu", which race
// the project's own in one list (docs/decisions/0010).
#pragma once
#include <memory>

#include "backend/api/backend.h"

namespace planish::onednn {

std::unique_ptr<backend::Backend> make_onednn_backend();

}  // namespace planish::onednn
