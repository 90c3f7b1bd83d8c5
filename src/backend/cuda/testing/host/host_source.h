// Emitted CUDA sources as a C++ file that the host's compiler turns into a library of HostKernels.
#pragma once
#include <ostream>
#include <string>

#include "base/status.h"

namespace planish::cuda {

// What stands in front of the kernels of one file.
Status write_host_prelude(std::ostream& out);
// One kernel as a namespace of its own; the library gives it out as get_<unique>().
Status write_host_kernel(std::ostream& out, const std::string& source, const std::string& entry,
                         const std::string& unique);
// base.cc to base.so, with the compiler that built the tests.
Status compile_on_host(const std::string& base);

}  // namespace planish::cuda
