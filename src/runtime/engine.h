// Engine: a loaded program, ready to run; and the Instance that binds it to concrete shapes.
//
// An Engine is immutable and thread-safe. It owns the packed weights (shared by all engines of the
// process that pack the same constant the same way) and a least-recently-used set of instances, one
// per set of input shapes. An Instance holds bound kernels and arena offsets; contexts share it and
// keep it alive while they run, so eviction never hurts a run.
//
// Steps run in phases. A phase ends with a step whose result dims only data decide; what comes after
// is bound when that step has run (Instance::later_phase), cached by the values of the new symbols.
#pragma once
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "backend/api/backend.h"
#include "base/status.h"
#include "kernel/kernel_def.h"
#include "plan/program.h"
#include "plan/step_order.h"
#include "runtime/check_step.h"

namespace planish::runtime {

// Where an operand's bytes are found when a step runs.
struct Slot {
  // kArena: the arena in the device's home; kHostArena: the one beside it for values on the host.
  enum class Where : uint8_t {
    kAbsent, kArena, kHostArena, kInput, kOutput, kConstant, kDeviceConstant, kOwned
  };
  Where where = Where::kAbsent;
  int index = 0;               // input, output, constant or value number; arenas: phase
  int64_t offset_bytes = 0;
  int64_t outer_stride_bytes = 0;
};

struct BoundStep {
  const plan::Step* step = nullptr;
  const kernel::KernelDef* kernel = nullptr;
  std::unique_ptr<kernel::Launchable> launchable;
  std::vector<Slot> operands, results;
  bool on_host = false;        // a host kernel in a device's program
  bool capturable = false;     // touches the device's memory alone
  int64_t workspace_offset = 0;
  double flops = 0;        // multiply-adds count two; 0 for what has none
  int64_t bytes_moved = 0; // operands and results, once each
};

struct MemoryUse {
  std::string name;
  int64_t bytes = 0;
  int first_step = 0, last_step = 0;
  int64_t offset = 0;
};

// One maximal run of steps whose dims are all known when it starts.
struct Phase {
  int index = 0;                  // 0: the first
  int first_step = 0, end_step = 0;
  std::vector<BoundStep> steps;
  std::vector<Slot> places;       // per value: where it lies from this phase on
  std::vector<int> new_outputs;   // outputs whose memory must be known before this phase
  int64_t arena_bytes = 0, sum_bytes = 0, lower_bound_bytes = 0;
  int64_t host_arena_bytes = 0;   // beside a device's arena
  std::vector<MemoryUse> memory;  // what the arena holds, workspaces included
};

using Binding = std::map<std::string, int64_t, std::less<>>;

class Engine;

class Instance {
 public:
  const std::shared_ptr<const Phase>& first_phase_shared() const { return first_; }
  const Phase& first_phase() const { return *first_; }
  // The phase behind `previous` under these symbols (all that are known by then).
  Result<std::shared_ptr<const Phase>> later_phase(const Phase& previous,
                                                   const Binding& binding) const;
  const Binding& binding() const { return binding_; }

 private:
  friend class Engine;
  const Engine* engine_ = nullptr;
  Binding binding_;
  std::shared_ptr<const Phase> first_;
  mutable std::mutex mutex_;
  mutable std::map<std::pair<int, Binding>, std::shared_ptr<const Phase>> later_;  // bounded
};

struct EngineOptions {
  int instance_cache = 8;        // instances kept; at least 1
  int64_t max_memory = 0;        // cap on one context's arenas, bytes; 0: none
  // Asked for each step before it is packed and before it is bound; without it, plans must come from a
  // compiler that is trusted.
  ProblemCheck check_problem;
  // Runs the steps that the device's kernels did not take; null when there are none.
  std::shared_ptr<backend::Device> host;
  // How the program differs from its plan's (respecialize.h); ends the message of a step that cannot be
  // bound.
  std::string changes;
};

class Engine : public std::enable_shared_from_this<Engine> {
 public:
  // Checks the program, finds its kernels, packs weights. `registry` outlives the engine.
  static Result<std::shared_ptr<Engine>> create(plan::Plan plan,
                                                std::shared_ptr<backend::Device> device,
                                                const kernel::KernelRegistry& registry,
                                                const EngineOptions& options = {});

  const plan::Plan& plan() const { return plan_; }
  const plan::Program& program() const { return plan_.program; }
  backend::Device& device() const { return *device_; }
  // The machine's processors: of the device, or of the host beside it.
  const kernel::DeviceInfo& host_info() const {
    return options_.host ? options_.host->info() : device_->info();
  }
  // The device whose kernels run step `s`.
  const kernel::DeviceInfo& device_info_of(int step) const;

  // The instance for these input dims (in input order), made when it is not cached.
  // kInvalidArgument names the input, got and expected.
  Result<std::shared_ptr<const Instance>> instance(
      std::span<const std::vector<int64_t>> input_dims) const;

  // Dims of a value under a binding; nullopt where a symbol is unknown.
  std::optional<std::vector<int64_t>> dims_of(int value, const Binding& binding) const;
  // No phase follows. Behind a last step whose result dims only data decide stands one without steps:
  // it checks and places the views of those results.
  bool is_last(const Phase& phase) const {
    return phase.end_step >= int(plan_.program.steps.size()) &&
           (phase.steps.empty() || !phase.steps.back().step->binds_symbols);
  }
  const void* constant_data(int constant) const;         // on the host
  const void* device_constant_data(int constant) const;  // null when no step reads it there
  int64_t weight_bytes() const;   // canonical constants, those of bodies included
  // What pack() made for a step; null when it made nothing.
  const kernel::Blob* packed(int step) const { return packed_[size_t(step)].get(); }
  // Engines of a step's bodies, in the step's order.
  const std::vector<std::shared_ptr<Engine>>& bodies(int step) const {
    return bodies_[size_t(step)];
  }
  int64_t packed_bytes() const;   // packed blobs held by this engine (shared ones counted once)
  int cached_instances() const;
  // Some step runs a kernel whose error bound is 16 times the plain one (Winograd).
  bool rounds_differently() const;

 private:
  friend class Instance;
  Engine() = default;
  Status prepare(const kernel::KernelRegistry& registry);
  Status prepare_bodies(const kernel::KernelRegistry& registry);  // run_bodies.cc
  Status check_spaces() const;
  Status check_steps() const;
  Status upload_constants();
  Status pack_weights();
  Status pack_step(size_t step);
  bool runs_on_host(int step) const {
    return kernels_[size_t(step)]->device_kind() != plan_.program.device_kind;
  }
  Result<Binding> bind_inputs(std::span<const std::vector<int64_t>> input_dims) const;
  void trace_roots();
  // `previous` is null for the first phase.
  Result<std::shared_ptr<const Phase>> bind_phase(const Phase* previous,
                                                  const Binding& binding) const;
  Status bind_steps(Phase& phase, const Binding& binding) const;
  Status bind_step(Phase& phase, int step, const Binding& binding) const;
  // `values`: those whose places are to be settled.
  Status plan_memory(Phase& phase, std::span<const int> values, const Binding& binding) const;

  plan::Plan plan_;
  std::shared_ptr<backend::Device> device_;
  EngineOptions options_;
  std::vector<const kernel::KernelDef*> kernels_;            // per step
  std::vector<std::shared_ptr<const kernel::Blob>> packed_;  // per step; may be null
  std::vector<std::vector<std::shared_ptr<Engine>>> bodies_;  // per step
  std::vector<std::shared_ptr<backend::Memory>> device_constants_;  // by constant; null: host
  std::vector<int> root_;         // per value: the value whose bytes it lies in
  std::vector<int> first_write_;  // per root: first step that writes into it, -1: none
  plan::StepOrder order_;
  std::vector<int> last_use_;     // per root: last step that touches it; steps.size(): after all
  // Per root: the last step that may run while one does that touches it; steps.size(): after all.
  std::vector<int> end_of_life_;
  std::vector<int> output_of_;    // per root: the output it is written to directly, -1: none

  mutable std::mutex mutex_;
  // Most recent first.
  mutable std::list<std::pair<std::vector<std::vector<int64_t>>, std::shared_ptr<const Instance>>>
      instances_;
};

}  // namespace planish::runtime
