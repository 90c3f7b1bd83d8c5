// Engine: a loaded plan, ready to run.
//
// An engine is immutable and thread-safe; cheap handles of it share weights. Running needs a Context
// (planish/context.h). Instances for the shapes that runs ask for are made on demand and kept in a
// least-recently-used set. Part of libplanish_runtime, which is all that a program needs to load
// and run plans.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "planish/config.h"
#include "planish/host.h"
#include "planish/status.h"
#include "planish/types.h"

namespace planish {
PLANISH_API_NAMESPACE {

struct EngineOptions {
  std::string device;         // empty: the plan's; "kind" or "kind:index"
  int threads = 0;            // CPU: size of the device's thread team; 0: as the plan was tuned for
  int instance_cache = 8;     // shape sets kept ready; at least 1
  int64_t max_memory_bytes = 0;  // cap on one context's arenas; 0: none
  // Memory of arenas and context-owned outputs; copied.
  std::optional<HostAllocator> allocator;
  // The same for memory of the device itself, 256-byte aligned: arenas, weights, staging.
  std::optional<HostAllocator> device_allocator;
  // Cap on all of the device's memory that the engine and its contexts hold at once, whoever
  // allocates it; 0: none. Weights that several engines share count in each.
  int64_t max_device_memory_bytes = 0;
  // Refuse plan files above this size before reading them; 0: no limit but the file system's.
  int64_t max_plan_bytes = 0;
};

// Bytes that an engine and one of its contexts need.
struct MemoryReport {
  int64_t weight_bytes = 0;       // canonical constants, mapped from the plan
  int64_t packed_bytes = 0;       // weights in the formats that kernels want
  int64_t arena_bytes = 0;        // per context, for these shapes
  int64_t sum_bytes = 0;          // what the arena would take without reuse
  int64_t lower_bound_bytes = 0;  // the largest set of values alive at once
};

// One step: one kernel launch or library call.
struct StepDesc {
  std::string kernel;                // "cpu.conv_winograd"
  std::string tactic;                // "tile=4,rows=14"
  std::string description;           // "Conv 3x3 64->64 [1, 64, 56, 56] + relu"
  std::vector<std::string> sources;  // the source nodes it came from
  bool reference = false;            // runs reference code: no kernel took it
  double expected_us = 0;            // as measured or predicted by the build
  int stream = 0;                    // on a device: steps of several streams run beside each other
};

// Clocks and power of a device at one moment; 0 for what it does not tell.
struct DeviceState {
  double clock_mhz = 0, memory_clock_mhz = 0;
  double power_watts = 0, temperature_c = 0;
};

class PLANISH_API Engine {
 public:
  // Loads a plan file: verified before use, weights mapped. A plan is data: loading runs no code of
  // its own. Errors: kNotFound, kDataLoss (damaged), kIncompatible (version, device, missing plugin
  // or library: the message says which), kResourceExhausted.
  static Result<Engine> load(const std::string& path, const EngineOptions& options = {});
  // From memory; `data` may be freed afterwards.
  static Result<Engine> load(const void* data, size_t bytes, const EngineOptions& options = {});

  // In the network's order.
  const std::vector<TensorDesc>& inputs() const;
  const std::vector<TensorDesc>& outputs() const;
  // -1 when there is none of that name.
  int input_index(const std::string& name) const;
  int output_index(const std::string& name) const;

  // The model's own metadata, and how the plan was made ("planish.version", "planish.device", ...).
  const std::map<std::string, std::string>& metadata() const;
  const std::vector<StepDesc>& steps() const;
  // The device it runs on.
  DeviceDesc device() const;
  int threads() const;
  // kUnsupported where the device does not tell (a CPU, a GPU without NVML).
  Result<DeviceState> device_state() const;
  // Memory for inputs and outputs in either space, from where the engine's own comes; at least as
  // large, freed with its last owner. On a CPU kDevice is refused.
  Result<std::shared_ptr<void>> allocate(int64_t bytes, MemorySpace space) const;

  // Memory for the given input dims (in input order); makes the instance when it is not there.
  Result<MemoryReport> memory(const std::vector<std::vector<int64_t>>& input_dims) const;
  // Dims to try a run with: fixed dims, the profile's opt shapes, and what the build assumed for
  // symbols otherwise.
  std::vector<std::vector<int64_t>> example_dims() const;

  // Everything about the plan as JSON: inputs, outputs, metadata, options, graph, steps with the
  // kernels that were refused and why, memory map. `input_dims` empty: example_dims().
  // docs/cli.md describes the fields under `inspect --json`.
  Result<std::string> describe_json(const std::vector<std::vector<int64_t>>& input_dims = {}) const;
  // The JSON report and the decisions that the build wrote into the plan.
  const std::string& report() const;
  const std::string& decisions() const;

  struct Impl;  // opaque
  const std::shared_ptr<const Impl>& impl() const { return impl_; }
  explicit Engine(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}

 private:
  std::shared_ptr<const Impl> impl_;
};

// Whether the file begins as a plan does. False for what cannot be read.
PLANISH_API bool is_plan_file(const std::string& path);

}  // namespace v1
}  // namespace planish
