// ExecutionContext: the run state of one caller: arenas, bound inputs and outputs, thread team.
//
// Cheap to make; not thread-safe (a run on a context that is already running returns
// kFailedPrecondition). Any number of contexts of one engine run side by side.
#pragma once
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/status.h"
#include "base/thread_team.h"
#include "ir/tensor.h"
#include "runtime/engine.h"

namespace planish::runtime {

struct StepTime {
  int step;
  double start_us;  // since the run's start
  double duration_us;
};

struct RunOptions {
  const std::atomic<bool>* cancel = nullptr;  // looked at between steps
  std::optional<std::chrono::steady_clock::time_point> deadline;
  std::function<void(const StepTime&)> profiler;
  // Called after each step with a view of each of its results (value number, row-major copy).
  std::function<void(int value, const ir::Tensor&)> observer;
};

struct ContextOptions {
  int threads = 0;                          // 0: as the device
  const HostParallelFor* host = nullptr;    // the host's threads instead of our own; copied
};

class ExecutionContext {
 public:
  static Result<std::unique_ptr<ExecutionContext>> create(std::shared_ptr<const Engine> engine,
                                                          const ContextOptions& options = {});
  ~ExecutionContext();

  const Engine& engine() const { return *engine_; }
  // Dims of input i; data comes by set_input. Checked when the instance is made.
  // Borrows `data` (dense, row-major, of the input's dtype) until the run has ended.
  // `space` says where `data` lies; data of another space than the program's input is staged.
  Status set_input(int i, const void* data, std::vector<int64_t> dims,
                   ir::MemorySpace space = ir::MemorySpace::kHost);
  // Writes output i to user memory of `bytes` capacity; null data: context-owned again.
  Status bind_output(int i, void* data, int64_t bytes);
  // Called when output i's size is known and no buffer is bound: returns memory of at least `bytes`
  // that lives until the results are read; null falls back to context-owned memory.
  using OutputAllocator = std::function<void*(int output, int64_t bytes)>;
  void set_output_allocator(OutputAllocator allocator) { allocator_ = std::move(allocator); }

  Status run(const RunOptions& options = {});

  // Valid after a good run and until the next: views bound or context-owned memory.
  Result<ir::Tensor> output(int i) const;
  // Bytes of the arenas this context holds.
  int64_t arena_bytes() const;
  // The instance of the last run.
  const Instance* instance() const { return instance_.get(); }

 private:
  struct InputBinding {
    const void* data = nullptr;
    std::vector<int64_t> dims;
    ir::MemorySpace space = ir::MemorySpace::kHost;
    bool is_set = false;
    std::unique_ptr<backend::Memory> staging;
    const void* place = nullptr;  // what the steps of this run read
  };
  struct OutputBinding {
    void* user_data = nullptr;
    int64_t user_bytes = 0;
    void* data = nullptr;           // where this run writes
    std::unique_ptr<backend::Memory> owned;
    std::vector<int64_t> dims;
    bool known = false;
  };

  ExecutionContext() = default;
  Status run_checked(const RunOptions& options);
  Status stage_inputs();
  Status run_phase(const Phase& phase, Binding& binding, const RunOptions& options);
  Status run_step(const BoundStep& bound, const Phase& phase, Binding& binding);
  Status prepare_output(int k, const Binding& binding);
  Status prepare_arena(int phase, int64_t bytes);
  kernel::BufferRef resolve(const Slot& slot) const;
  Status bind_results(const plan::Step& step, std::vector<ir::Tensor> results, Binding& binding);
  Status deliver_outputs(const Phase& last, const Binding& binding);
  // A row-major host copy of a value.
  Result<ir::Tensor> read_value(int value, const Slot& slot, const Binding& binding) const;

  std::shared_ptr<const Engine> engine_;
  std::unique_ptr<ThreadTeam> team_;
  std::unique_ptr<backend::Stream> stream_;
  std::shared_ptr<const Instance> instance_;
  std::vector<std::unique_ptr<backend::Memory>> arenas_;  // per phase
  std::vector<InputBinding> inputs_;
  std::vector<OutputBinding> outputs_;
  OutputAllocator allocator_;
  std::map<int, ir::Tensor> owned_;             // results of allocating steps, by value
  std::chrono::steady_clock::time_point start_;
  std::vector<kernel::BufferRef> operand_refs_, result_refs_;
  std::atomic<bool> running_{false};
  bool has_run_ = false;
};

}  // namespace planish::runtime
