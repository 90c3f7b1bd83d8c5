// Runs emitted kernels on the host, as they are: their CUDA C++ is compiled with the host's compiler,
// their inline PTX turned into calls (ptx_text.h), and an Emulator (emulator.h) plays the GPU with
// blocks of fibers, clusters, TMA, mbarriers and tensor cores. It finds wrong indices and layouts,
// reads before a barrier or a load's end, operands overwritten too early, blocks that wait for each
// other and inputs touched before grid_wait(); nothing about timing, and no hardware's rounding.
//
// Many steps are compiled at once, because a compiler start costs more than a kernel:
//   HostRunner runner;
//   int a = runner.add(step_a), b = runner.add(step_b);
//   ASSERT_TRUE(runner.build().ok());
//   runner.run(a, {operands, results, packed});
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "backend/cuda/emit/emitted_kernel.h"
#include "base/status.h"

namespace planish_host {
class Emulator;
}

namespace planish::cuda {

struct HostBuffer {
  std::byte* data = nullptr;  // null: absent
  int64_t bytes = 0;
  bool late = false;          // written by the step before: poison until grid_wait()
};

struct HostRun {
  std::vector<HostBuffer> operands, results;  // in the problem's order
  const void* packed = nullptr;
  uint64_t seed = 0;    // of the order of threads and loads
  bool eager = false;   // loads and products happen at once, not as late as they may
};

class HostRunner {
 public:
  HostRunner();
  HostRunner(const HostRunner&) = delete;
  ~HostRunner();

  // The number of the step.
  int add(EmittedStep step);
  // Compiles everything that was added with the compiler that built the tests.
  Status build();
  Status run(int step, const HostRun& run);

 private:
  std::vector<EmittedStep> steps_;
  std::vector<void*> libraries_;
  std::unique_ptr<planish_host::Emulator> emulator_;
};

}  // namespace planish::cuda
