// What libplanish_onednn.so exports (api/runtime/backend_library.h).
#include <cstring>

#include "backend/onednn/onednn_backend.h"

extern "C" __attribute__((visibility("default"))) planish::backend::Backend* planish_backend_entry(
    const char* version) {
  if (std::strcmp(version, PLANISH_VERSION) != 0) return nullptr;
  static planish::backend::Backend* backend = planish::onednn::make_onednn_backend().release();
  return backend;
}
