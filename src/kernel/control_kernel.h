// Kernels of steps whose op holds bodies (If, Loop, Scan). Such a kernel decides which body runs when
// and on what, and puts the results together; the runtime runs the bodies, each a program of its own
// whose steps have kernels of their own.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/kernel_def.h"

namespace planish::kernel {

// Runs the body under the attribute `key` of the step's op. Results are dense and row-major.
using BodyRunner = std::function<Result<std::vector<ir::Tensor>>(
    std::string_view key, std::span<const ir::Tensor> inputs)>;

class ControlLaunchable : public Launchable {
 public:
  // As run() and run_allocating() are for other steps.
  virtual Status run_bodies(const RunArgs& args, const BodyRunner& run_body) const = 0;
  virtual Result<std::vector<ir::Tensor>> run_bodies_allocating(
      const RunArgs& args, const BodyRunner& run_body) const = 0;
  Status run(const RunArgs&) const final {
    return failed_precondition("a step that holds bodies is not run without them");
  }
};

class ControlKernel : public KernelDef {
 public:
  // Attributes that hold the op's bodies: the step has one program for each. Takes any problem.
  virtual std::vector<std::string> bodies(const Problem& problem) const = 0;
};

}  // namespace planish::kernel
