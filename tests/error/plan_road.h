// For tests: the whole way of a plan on the CPU, from a graph to bytes and from bytes to a run, with
// limits that keep hostile programs small. Not thread-safe.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kernel/kernel_def.h"
#include "backend/api/backend.h"
#include "ir/graph.h"
#include "opdef/op_case.h"
#include "opdef/op_def.h"
#include "plan/program.h"

namespace planish::plan {

// Every operator, every CPU kernel and the reference kernel, on one thread; lives as long as the
// process.
struct World {
  opdef::OpRegistry ops;
  kernel::KernelRegistry kernels;
  std::shared_ptr<backend::Device> device;
  World();
};
World& world();

// Inputs by name.
using Feeds = std::map<std::string, ir::Tensor>;

struct RunLimits {
  int64_t most_elements = 1 << 17;  // of any value; above it nothing is run
  int64_t max_memory = 16 << 20;    // bytes of the engine's weights
};

// `exact`: with CompileOptions::fp32_exact. The same program every time.
Result<Program> compiled(std::unique_ptr<ir::Graph> graph, bool exact);

// Networks with the regions and layouts that single nodes do not give, by name.
std::vector<std::pair<std::string, std::unique_ptr<ir::Graph>>> networks();

// A loop over a product, a scan inside of it, and a branch.
std::unique_ptr<ir::Graph> control_network();

// A case's node; `constants`: all inputs but the first are. `feeds` gets the inputs' elements.
Result<std::unique_ptr<ir::Graph>> graph_of(const opdef::OpCase& c, bool constants, Feeds& feeds);

// The plan's whole way: read, checked, loaded, bound with 3 for each symbol and run, with the given
// inputs where they fit, for two seconds at most. What no deadline ends, bodies that are interpreted,
// is bound only. Ok, or the error that ended it.
Status load_and_run(const std::vector<std::byte>& bytes, const Feeds& feeds,
                    const RunLimits& limits = {});

}  // namespace planish::plan
