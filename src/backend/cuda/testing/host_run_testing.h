// Runs emitted kernels on the host: their source is plain C++ but for a few built-ins, which
// host_cuda.inc has. The threads of a block are fibers where the kernel has barriers. This finds
// wrong indices, missing barriers between two phases that need one less surely, and nothing about
// timing or memory order; kernels with inline assembly (tensor cores, TMA) are not for it.
//
// Many steps are compiled at once, because a compiler start costs more than a kernel:
//   HostRunner runner;
//   int a = runner.add(step_a), b = runner.add(step_b);
//   ASSERT_TRUE(runner.build().ok());
//   runner.run(a, operands, results);
#pragma once
#include <span>
#include <string>
#include <vector>

#include "backend/cuda/emit/emitted_kernel.h"
#include "base/status.h"

namespace planish::cuda {

class HostRunner {
 public:
  HostRunner() = default;
  HostRunner(const HostRunner&) = delete;
  ~HostRunner();

  // The number of the step.
  int add(EmittedStep step);
  // Compiles everything that was added with the compiler that built the tests.
  Status build();
  // Buffers in the problem's order; null where absent.
  Status run(int step, std::span<void* const> operands, std::span<void* const> results,
             const void* packed = nullptr) const;

 private:
  std::vector<EmittedStep> steps_;
  std::vector<void*> libraries_;
};

}  // namespace planish::cuda
