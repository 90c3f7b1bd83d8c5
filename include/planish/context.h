// Context: runs an Engine for one caller at a time.
//
// A context owns its run state (arenas, outputs, threads). Contexts are cheap; make one per
// concurrent caller, they run side by side. A call on a context that is running returns
// kFailedPrecondition. Part of libplanish_runtime.
//
//   auto context = planish::Context::create(*engine);
//   context->set_input(0, image.data(), {1, 3, 224, 224});
//   planish::Status status = context->run();
//   auto scores = context->output(0);   // valid until the next run
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "planish/config.h"
#include "planish/engine.h"
#include "planish/host.h"
#include "planish/status.h"
#include "planish/types.h"

namespace planish {
PLANISH_API_NAMESPACE {

struct ContextOptions {
  int threads = 0;  // CPU: threads of this context; 0: the engine's
  // The host's threads instead of our own; copied.
  std::optional<HostParallelFor> parallel_for;
  // CUDA: the host's stream (CUstream) that runs are enqueued on; null: one of the context's own.
  // Borrowed for the context's life. A run waits for its end unless RunOptions says otherwise.
  void* stream = nullptr;
};

// Where the time of one run went on a device with memory of its own; zeros on the CPU.
struct RunTimes {
  double h2d_us = 0;      // inputs to the device
  double compute_us = 0;  // all steps, once
  double d2h_us = 0;      // outputs from the device
  double enqueue_us = 0;  // of the calling thread, until it waits
};

// What a profiler learns of one executed step. `step` indexes Engine::steps().
struct StepTiming {
  int step = 0;
  double start_us = 0;     // since the run's start
  double duration_us = 0;
};

struct RunOptions {
  CancelToken cancel;
  std::optional<std::chrono::steady_clock::time_point> deadline;
  // Called after every step, on the running thread.
  std::function<void(const StepTiming&)> profiler;
  // Called after every step with each value it made, under its source's name. Copies: slow.
  std::function<void(std::string_view name, const Tensor& value)> observer;
  // Filled when given. `compute_repeats`: the steps run so many times in a row, compute_us is their
  // mean, which tells short runs from the cost of taking their time.
  RunTimes* times = nullptr;
  int compute_repeats = 1;
  // False: when all inputs lie on the device and all outputs are bound there, the run returns once it
  // is enqueued; results are there in the order of the context's stream, errors come with a later
  // call. Bound memory must stay until then. Elsewhere a run waits for its end.
  bool wait = true;
};

// What one step cost for the shapes of the last run, for GFLOP/s and GB/s, and what it ran on.
struct StepCost {
  double flops = 0;         // a multiply-add counts two; 0 for what computes none
  int64_t bytes_moved = 0;  // operands and results, once each
  // On a device: names of its functions in launch order, whether their code holds instructions of
  // tensor cores, and whether they were compiled for any sizes, not for these.
  std::vector<std::string> device_kernels;
  bool tensor_cores = false;
  bool any_size = false;
  // The ceilings of the units in use at the device's highest clock; 0 where they are not known.
  double peak_flops = 0, peak_bytes_per_s = 0;
};

class PLANISH_API Context {
 public:
  static Result<Context> create(const Engine& engine, const ContextOptions& options = {});
  Context(Context&&) noexcept;
  Context& operator=(Context&&) noexcept;
  // Waits for an asynchronous run to end.
  ~Context();

  // Binds input `index` to user memory: dense, row-major, of the input's type, `dims` elements.
  // Borrowed until the run has ended. Errors name the input, got and expected. Device memory is read
  // where it lies (16-byte aligned, else copied on the device); an address that the driver knows to
  // lie elsewhere is refused. Host memory goes through pinned memory to a device that has its own.
  Status set_input(int index, const void* data, std::vector<int64_t> dims,
                   MemorySpace space = MemorySpace::kHost);
  Status set_input(const std::string& name, const Tensor& tensor);
  // Binds output `index` to user memory of `bytes` capacity, borrowed until the results are read; a
  // run whose output is larger fails with both figures. Null: context-owned again (the default).
  Status bind_output(int index, void* data, int64_t bytes,
                     MemorySpace space = MemorySpace::kHost);
  // Asked for the memory of an unbound output once its size is known: at least `bytes`, which live
  // until the results are read. Null falls back to context-owned memory.
  // `space` says where that memory lies.
  using OutputAllocator = std::function<void*(int output, int64_t bytes)>;
  Status set_output_allocator(OutputAllocator allocator, MemorySpace space = MemorySpace::kHost);

  // Runs and waits. Dims that the last run had cost nothing to set up again. Errors:
  // kInvalidArgument (shapes), kFailedPrecondition (an input without data, a context that runs),
  // kCancelled, kDeadlineExceeded, kResourceExhausted. After an error the context can run again.
  Status run(const RunOptions& options = {});
  // The same on a thread of its own. Bound memory must stay; the future gives the run's status.
  std::future<Status> run_async(RunOptions options = {});

  // A view of output `index`: the bound memory, or the context's own, valid until the next run or
  // the context's end. kFailedPrecondition before a good run.
  Result<Tensor> output(int index) const;
  Result<Tensor> output(const std::string& name) const;

  // The stream that runs are enqueued on (CUstream); null on a device without streams.
  void* stream() const;
  // Bytes of the arenas that this context holds.
  int64_t arena_bytes() const;
  // Per step of Engine::steps(), for the shapes of the last run; empty before it.
  std::vector<StepCost> step_costs() const;

  struct Impl;  // opaque
  explicit Context(std::unique_ptr<Impl> impl);

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace v1
}  // namespace planish
