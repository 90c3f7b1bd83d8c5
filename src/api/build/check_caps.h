// The caps of a build, checked on the finished plan: an engine of it is bound to the largest shapes
// that the build knows (each profile's maximal ones, else those it was tuned for).
#pragma once
#include <memory>

#include "api/runtime/registry.h"
#include "backend/api/backend.h"
#include "plan/program.h"

namespace planish::api {

struct Caps {
  int64_t max_workspace = 0;  // bytes of one step's scratch memory; 0: none
  int64_t max_memory = 0;     // bytes of weights, packed weights and arena together; 0: none
};

// kResourceExhausted gives what is taken, what is allowed and what takes most. Steps behind results
// that only data size count with those results' upper bounds; behind results without one they are not
// looked at.
planish::Status check_caps(const plan::Plan& plan, const Caps& caps,
                           std::shared_ptr<backend::Device> device,
                           std::shared_ptr<backend::Device> host,
                           const kernel::KernelRegistry& kernels);

}  // namespace planish::api
