// ExecutionContext: the run state of one caller: arenas, bound inputs and outputs, thread team.
//
// Cheap to make; not thread-safe (a run on a context that is already running returns
// kFailedPrecondition). Any number of contexts of one engine run side by side.
//
// On a device that captures, each maximal run of steps that touch its memory alone is captured once
// for the addresses in use and replayed afterwards. Observed and profiled runs, steps on the host and
// copies across are launched one by one.
#pragma once
#include <atomic>
#include <chrono>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/status.h"
#include "base/thread_team.h"
#include "ir/tensor.h"
#include "runtime/engine.h"

namespace planish::runtime {

// Where the time of one run went, on the device's clock but for `enqueue_us`.
struct RunTimes {
  double h2d_us = 0;      // inputs to the device
  double compute_us = 0;  // all steps
  double d2h_us = 0;      // outputs from the device
  double enqueue_us = 0;  // of the calling thread, until it waits
};

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
  RunTimes* times = nullptr;  // filled when given and the device has events
  // kCancelled or kDeadlineExceeded when the run should end.
  Status interrupted() const;
  // Phases run so many times in a row and compute_us is their mean. Programs whose dims data decide
  // run once.
  int compute_repeats = 1;
  // False: returns once enqueued where every input and output lies on the device.
  bool wait = true;
};

struct ContextOptions {
  int threads = 0;                          // 0: as the device
  const HostParallelFor* host = nullptr;    // the host's threads instead of our own; copied
  void* stream = nullptr;                   // the host's stream (CUstream); null: our own
  // Launches in place of the plan's, one for each step; empty: the plan's. For measuring: no step may run
  // beside one that it does not run beside in the plan.
  std::vector<plan::Launch> launches;
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
  Status bind_output(int i, void* data, int64_t bytes,
                     ir::MemorySpace space = ir::MemorySpace::kHost);
  // Called when output i's size is known and no buffer is bound: returns memory of at least `bytes`
  // that lives until the results are read; null falls back to context-owned memory.
  using OutputAllocator = std::function<void*(int output, int64_t bytes)>;
  void set_output_allocator(OutputAllocator allocator,
                            ir::MemorySpace space = ir::MemorySpace::kHost) {
    allocator_ = std::move(allocator);
    allocator_space_ = space;
  }

  Status run(const RunOptions& options = {});

  // Valid after a good run and until the next: views bound or context-owned memory (of the device
  // where a device's memory was bound).
  Result<ir::Tensor> output(int i) const;
  // Bytes of the arenas this context holds, those of bodies included.
  int64_t arena_bytes() const;
  void* stream() const { return stream_->handle(); }
  // The instance of the last run.
  const Instance* instance() const { return instance_.get(); }

 private:
  struct InputBinding {
    const void* data = nullptr;
    std::vector<int64_t> dims;
    ir::MemorySpace space = ir::MemorySpace::kHost;
    bool is_set = false;
    std::unique_ptr<backend::Memory> staging;  // in the program's space
    std::unique_ptr<backend::Memory> pinned;   // on the way there
    const void* place = nullptr;  // what the steps of this run read
  };
  struct OutputBinding {
    void* user_data = nullptr;
    int64_t user_bytes = 0;
    ir::MemorySpace user_space = ir::MemorySpace::kHost;
    ir::MemorySpace bound = ir::MemorySpace::kHost;  // where this run's data lies
    void* data = nullptr;           // what the caller reads
    void* place = nullptr;          // where the steps of this run write
    std::unique_ptr<backend::Memory> owned;
    std::unique_ptr<backend::Memory> staging;  // on the device, when the caller reads elsewhere
    std::vector<int64_t> dims;
    bool known = false;
  };

  ExecutionContext() = default;
  // On a team of somebody else.
  static Result<std::unique_ptr<ExecutionContext>> create_on(std::shared_ptr<const Engine> engine,
                                                             std::shared_ptr<ThreadTeam> team);
  Status run_checked(const RunOptions& options);
  // One maximal run of capturable steps, ready for the addresses it was captured with.
  struct Capture {
    std::shared_ptr<const Phase> phase;
    size_t first = 0;
    std::vector<const void*> addresses;
    std::unique_ptr<backend::CapturedGraph> graph;
  };

  Status finish_enqueued();
  Status prepare_to_free();
  // Whether this run leaves nothing that the host must wait for.
  bool stays_on_device() const;
  std::string describe_steps(int first, int end) const;
  Status stage_inputs();
  Status stage_input(InputBinding& input, const ir::TensorType& type);
  Status run_phase(const std::shared_ptr<const Phase>& phase, Binding& binding,
                   const RunOptions& options);
  Status run_captured(const std::shared_ptr<const Phase>& phase, size_t first, size_t end,
                      Binding& binding, const RunOptions& options);
  Status capture_steps(const Phase& phase, size_t first, size_t end, Binding& binding,
                       const RunOptions& options);
  const plan::Launch& launch_of(int step) const;
  Status launch_captured(const Capture& capture, int end);
  std::vector<const void*> addresses(int phase) const;
  Result<double> replayed_us(const BoundStep& bound, const Phase& phase);
  Status mark(size_t event, const RunOptions& options);
  Status read_times(const RunOptions& options) const;
  // How a step is launched: on which stream, and whether all that it follows there must have ended.
  struct Start {
    void* stream = nullptr;
    bool after_end = false;
  };
  Status run_step(const BoundStep& bound, const Phase& phase, Binding& binding,
                  const RunOptions& options, const Start& start);
  // Runs one body of a step; a context of the body is made when it runs first (run_bodies.cc).
  Result<std::vector<ir::Tensor>> run_body(int step, std::string_view key,
                                           std::span<const ir::Tensor> inputs,
                                           const RunOptions& options);
  Status prepare_output(int k, const Binding& binding);
  Status prepare_arena(std::vector<std::unique_ptr<backend::Memory>>& arenas, int phase,
                       int64_t bytes, ir::MemorySpace space);
  kernel::BufferRef resolve(const Slot& slot) const;
  Status bind_results(const plan::Step& step, std::vector<ir::Tensor> results, Binding& binding);
  Status deliver_outputs(const Phase& last, const Binding& binding);
  // A row-major host copy of a value.
  Result<ir::Tensor> read_value(int value, const Slot& slot, const Binding& binding) const;

  std::shared_ptr<const Engine> engine_;
  std::shared_ptr<ThreadTeam> team_;  // also of the bodies' contexts
  std::unique_ptr<backend::Stream> stream_;
  std::vector<std::unique_ptr<backend::Stream>> side_streams_;  // streams 1 and up, for capturing
  std::vector<plan::Launch> launches_;                          // empty: the plan's
  std::shared_ptr<const Instance> instance_;
  std::vector<std::unique_ptr<backend::Memory>> arenas_;       // per phase
  std::vector<std::unique_ptr<backend::Memory>> host_arenas_;  // beside a device's
  std::list<Capture> captures_;                                // most recent first
  std::vector<std::unique_ptr<backend::Event>> events_;
  bool pending_ = false;  // the stream may hold work whose results the host has not waited for
  std::vector<InputBinding> inputs_;
  std::vector<OutputBinding> outputs_;
  OutputAllocator allocator_;
  ir::MemorySpace allocator_space_ = ir::MemorySpace::kHost;
  std::map<std::pair<int, size_t>, std::unique_ptr<ExecutionContext>> bodies_;  // step, body
  std::map<int, ir::Tensor> owned_;             // results of allocating steps, by value
  std::chrono::steady_clock::time_point start_;
  std::vector<kernel::BufferRef> operand_refs_, result_refs_;
  std::atomic<bool> running_{false};
  bool has_run_ = false;
};

}  // namespace planish::runtime
