// EngineSet: the engines of one network for the shapes that callers bring.
//
// A server does not know the shapes of its requests in advance. An EngineSet runs each request on an
// engine that covers its shapes: one that is there (the smallest that suffices), or one built for
// them now. It keeps the engines that were used last, up to a count and a number of bytes. Building
// happens outside of all locks, once per set of shapes: requests for other shapes go on meanwhile.
// Thread-safe: requests that run at the same time have contexts of their own. Part of libplanish.
//
//   planish::EngineSetOptions options;
//   options.inputs = {"image"};
//   auto set = planish::EngineSet::create(options);
//   auto load = [](const auto& shapes) { return planish::Network::load("net.onnx", {}, {.shapes = shapes}); };
//   auto status = set->run({image}, load, {}, [](int i, const planish::Tensor& output) { ... });
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "planish/build.h"
#include "planish/config.h"
#include "planish/context.h"
#include "planish/engine.h"
#include "planish/network.h"
#include "planish/status.h"

namespace planish {
PLANISH_API_NAMESPACE {

// Dims per input, in the order that the caller gives inputs in.
using InputDims = std::vector<std::vector<int64_t>>;

// The shapes that an engine serves: every dim lies between its two bounds, both included.
struct ShapeRange {
  InputDims min, max;
  friend bool operator==(const ShapeRange&, const ShapeRange&) = default;
};
PLANISH_API bool covers(const ShapeRange& range, const InputDims& dims);
// The range that serves `dims` with the least work: the smallest `max`. -1: none covers them.
PLANISH_API int smallest_cover(const std::vector<ShapeRange>& ranges, const InputDims& dims);

struct EngineSetOptions {
  std::vector<std::string> inputs;  // names, in the order in which requests bring them
  // Of every engine; `shapes`, `profiles` and `decisions` are the set's own business.
  BuildOptions build;
  EngineOptions engine;
  // The host's threads for all runs; engines' own otherwise.
  std::optional<HostParallelFor> parallel_for;
  int max_engines = 1;
  int64_t max_bytes = 0;  // weights, packed weights and one arena of each engine together; 0: no cap
  bool allow_build = true;
  // An engine built for a batch (the first dim of inputs where it is open) serves smaller ones.
  bool share_batches = true;
};

// What happened since the set was made. A request that ended in an error is counted under its text.
struct EngineSetStatistics {
  int64_t hits = 0;       // requests that an engine that was there has served
  int64_t builds = 0;     // engines built, those before the first request included
  int64_t loads = 0;      // engines taken from plans
  int64_t evictions = 0;
  int64_t engines = 0;    // now
  int64_t bytes = 0;      // now
  double build_ms = 0;
  double run_us = 0;      // of all requests, in their engines
  std::map<std::string, int64_t> refusals;
};

// One engine of the set, for keeping it: its plan, or the decisions that make building it again quick
// and need no weights.
struct EngineRecord {
  ShapeRange range;
  Engine engine;
  std::shared_ptr<const Plan> plan;  // null: the engine was loaded from one
};

class PLANISH_API EngineSet {
 public:
  // The network, when an engine is to be built. `shapes` is empty, or all inputs' shapes where the
  // network cannot be had without them.
  using Source =
      std::function<Result<Network>(const std::map<std::string, std::vector<int64_t>>& shapes)>;
  // Outputs of one run, in the network's order; the tensor lives until the call returns.
  using Take = std::function<void(int output, const Tensor& tensor)>;

  // kInvalidArgument: limits below 1 (engines) or 0 (bytes).
  static Result<EngineSet> create(const EngineSetOptions& options = {});
  EngineSet(EngineSet&&) noexcept;
  EngineSet& operator=(EngineSet&&) noexcept;
  ~EngineSet();

  // Takes over an engine made earlier, unless there is one for the same range. `range` empty: what the
  // plan says that it serves.
  Status add(const Engine& engine, std::optional<ShapeRange> range = std::nullopt);
  // Builds an engine for the range, tuned for its max, unless there is one. `decisions` as in
  // BuildOptions.
  Status prepare(const ShapeRange& range, const Source& source, const std::string& decisions = {});

  // Runs on an engine that covers the inputs' shapes. `allocator` as in Context; `take` sees every
  // output of a good run. Errors: kFailedPrecondition (no engine covers the shapes and none may be
  // built), what building and running give; all are counted.
  Status run(const std::vector<Tensor>& inputs, const Source& source,
             const Context::OutputAllocator& allocator, const Take& take);

  std::vector<EngineRecord> records() const;
  EngineSetStatistics statistics() const;

  struct Impl;  // opaque

 private:
  explicit EngineSet(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace v1
}  // namespace planish
