// Backends that live in shared objects of their own: libplanish_onednn.so, libplanish_cuda.so.
//
// They use symbols of libplanish_runtime that only the exact same version has, lie beside it, and
// export one C function, planish_backend_entry. An absent one is a line in the report, no error.
#pragma once
#include <string>
#include <string_view>

#include "backend/api/backend.h"
#include "base/status.h"

namespace planish::api {

// What such a library exports. Null when `version` is not its own. The backend lives for ever.
extern "C" using BackendEntryFunction = backend::Backend* (*)(const char* version);

// "libplanish_NAME.so". The names of its kernels begin with "NAME.".
std::string library_file(std::string_view name);
// The backend of libplanish_NAME.so, or why there is none.
Result<backend::Backend*> load_backend_library(std::string_view name);

}  // namespace planish::api
