// One graph through every road that must not change what it computes: the optimizer off, on, a plan
// that was saved and loaded, and kernels, layouts and tactics drawn at random instead of by time; smooth
// graphs in half precision as well, against the interpreter that rounds every value so.
// Each is compared with the interpreter, per element, by verify's bound.
#pragma once
#include <functional>
#include <map>
#include <string>

#include "backend/api/backend.h"
#include "kernel/kernel_def.h"
#include "random_graph.h"

namespace planish::tests {

// What graphs are run with. Planted faults come in here.
struct Machine {
  const opdef::OpRegistry* ops = nullptr;
  kernel::KernelRegistry kernels;
  std::shared_ptr<backend::Device> one_thread, two_threads;
  std::shared_ptr<backend::Device> host;  // for what the device has no kernel for; null: it is the CPU
  // Done to the graph before it is compiled with the optimizer on; null: nothing.
  std::function<void(ir::Graph&)> planted_pass;

  // `kind`: cpu or cuda. An error says why there is no such device here.
  static Result<std::unique_ptr<Machine>> make(std::string_view kind = "cpu");
};

struct GraphReport {
  std::string failure;  // empty: good; else the road, the output, both values
  std::string steps;    // of the plan that failed
  bool device_lost = false;  // a device error: nothing runs on it any more in this process
  std::map<std::string, int64_t> fired;  // by rule of the passes
  std::map<std::string, int> kernels;    // steps by kernel, all roads
};

// `seed` draws the choices of the last road.
GraphReport check_graph(const Machine& machine, const RandomGraph& graph, uint64_t seed);

// A smaller graph that fails, too: outputs left out and computed values made inputs while it does.
RandomGraph shrink(const Machine& machine, RandomGraph graph, uint64_t seed);

}  // namespace planish::tests
