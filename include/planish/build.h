// build(): from a Network to a Plan, the optimized form that an Engine runs.
//
// A build fuses operators, chooses layouts, times the candidates of every step on the device and
// plans the memory. It is a pure function of network, options and timing cache: the same three give
// the same plan, byte for byte. Several builds may run at once. Part of libplanish.
//
//   planish::BuildOptions options;
//   options.shapes["image"] = {1, 3, 224, 224};
//   auto plan = planish::build(*network, options);
//   if (plan.ok()) plan->save("resnet50.plan");
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "planish/config.h"
#include "planish/engine.h"
#include "planish/host.h"
#include "planish/network.h"
#include "planish/status.h"

namespace planish {
PLANISH_API_NAMESPACE {

// Whether fp32 may use algorithms that round differently (Winograd). What was used is tagged in the
// report.
enum class Fp32Mode { kFast, kExact };

// What the network's f32 values are computed in. kTf32: f32 values, products of which may be rounded
// to tf32 on devices that have it. kFp16, kBf16: values and weights become so where operators allow
// it; sums are accumulated in f32.
enum class Precision { kFp32, kTf32, kFp16, kBf16 };

// Smallest, usual and largest shapes of one input. The build tunes for `opt` and checks memory for
// `max`. Each has the input's rank.
struct ProfileInput {
  std::vector<int64_t> min, opt, max;
};
using Profile = std::map<std::string, ProfileInput>;  // by input name

struct BuildProgress {
  std::string_view phase;    // "optimize", "tune", "plan memory", ...
  double fraction = 0;       // of the whole build, 0..1, never falling
  std::string_view message;  // what is being done: a pass, a step
};

struct BuildOptions {
  std::string device = "cpu";  // kind, or "kind:index"
  // Fixed shapes by input name: symbolic dims become these numbers in the plan.
  std::map<std::string, std::vector<int64_t>> shapes;
  // Without a profile a symbolic network is tuned at shapes that the build assumes and runs at any.
  std::vector<Profile> profiles;
  Fp32Mode fp32 = Fp32Mode::kFast;
  Precision precision = Precision::kFp32;
  // kFp16, kBf16: f32 inputs and outputs of the network take that type too.
  Precision io_precision = Precision::kFp32;

  // Nothing is measured; the cost model decides alone. Same plan on every machine of the kind.
  bool deterministic = false;
  // Seconds that measuring may take, counted from the call and with the compilation of what is measured;
  // kernels that time does not suffice for are chosen by the cost model. Zero: no measuring. Unset: as
  // long as it takes.
  std::optional<double> time_budget_s;
  // File of earlier measurements, read and extended. Unset: in the user's cache folder; empty: none.
  std::optional<std::string> timing_cache;
  // JSON of an earlier plan's decisions (Plan::decisions()): they are taken over, not searched.
  std::string decisions;

  // Caps, 0: none. They hold at the profiles' maximal shapes, else at those the build tunes for.
  // One step's scratch memory: kernels that would take more are not chosen; where not even the
  // reference code stays below, the build is refused with figures.
  int64_t max_workspace_bytes = 0;
  // Weights, packed weights and arena together: a plan that would take more is refused with what takes
  // most. Other shapes at run time: EngineOptions::max_memory_bytes.
  int64_t max_memory_bytes = 0;
  int threads = 0;                  // CPU: threads the plan is tuned for; 0: all cores
  bool packed_weights = false;      // carry packed weights: larger file, faster load
  // GPU: kernels of cuBLASLt and cuDNN race ours where these libraries are found. The plan names each
  // that it needs, with its version; without it an engine takes a kernel of ours where NVRTC can make
  // one, and is refused (kIncompatible) where not.
  bool allow_libraries = false;

  // Passes to leave out, by name. `print_after`: passes after which the graph is handed, as text,
  // to `print` (stderr when empty); "all" stands for every pass.
  std::vector<std::string> disabled_passes;
  std::vector<std::string> print_after;
  std::function<void(std::string_view pass, std::string_view graph)> print;

  // Called from the building thread. False cancels: build() returns kCancelled.
  std::function<bool(const BuildProgress&)> progress;
  CancelToken cancel;
};

// Seconds of a build that went into one of its phases.
struct BuildPhase {
  std::string name;  // "device", "passes", "candidates", "compile", "measure", "emit", ...
  double seconds = 0;
};

// An optimized network as bytes. Cheap to move; immutable; thread-safe.
class PLANISH_API Plan {
 public:
  // Writes a temporary file beside `path` and renames it: a reader never sees half a plan, a failed
  // write leaves nothing behind.
  Status save(const std::string& path) const;
  const std::byte* data() const;
  size_t bytes() const;
  // The engine of this plan, without writing it.
  Result<Engine> engine(const EngineOptions& options = {}) const;
  // What was done, as JSON: passes, fusions, steps with the kernels that raced, memory, times.
  const std::string& report() const;
  // Every choice that the build made, as JSON, for BuildOptions::decisions.
  const std::string& decisions() const;
  // Where the seconds of build() went: phases that do not overlap, in the order in which they began.
  // No part of the plan's bytes.
  const std::vector<BuildPhase>& phases() const;

  struct Impl;  // opaque
  explicit Plan(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}

 private:
  std::shared_ptr<const Impl> impl_;
};

// The network is only read. Errors: kInvalidArgument (an option or shape that does not fit, named),
// kUnsupported, kResourceExhausted (a cap; the figures are given), kCancelled, kNotFound (device).
PLANISH_API Result<Plan> build(const Network& network, const BuildOptions& options = {});
// Consumes the network, whatever comes of it: weights that passes replace are freed as they go.
PLANISH_API Result<Plan> build(Network&& network, const BuildOptions& options = {});

// Opens a device ("cuda", "cuda:1") ahead of its first use: a GPU's driver and context take some tenths
// of a second to start. Errors: kInvalidArgument, kNotFound, kDeviceError, as a build for the device would
// give.
PLANISH_API Status open_device(const std::string& device);
// The same on a thread of its own, beside the reading of a model; the future waits for it when it ends.
// Where no thread can be had, it opens when get() is called.
PLANISH_API std::future<Status> open_device_async(const std::string& device);

// Names of the graph passes in the order they run.
PLANISH_API std::vector<std::string> pass_names();

// The default place of the timing cache: $XDG_CACHE_HOME/planish/timing.cache or
// ~/.cache/planish/timing.cache; empty when neither is known.
PLANISH_API std::string default_timing_cache();

}  // namespace v1
}  // namespace planish
