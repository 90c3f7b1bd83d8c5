// compile(): from a graph to a plan. A pure function of graph, options, decisions and the times it is
// given: same input, same options, same timing cache -> same plan, byte for byte.
//
// The way: passes (fusion into regions) -> structural lowering (views, known contents) -> candidates
// per node (kernel x layouts x tactic) -> layouts over the whole graph and tactics by measured or
// predicted time -> emission of steps. Every choice is written down as decisions, which compile()
// takes back in to repeat or change them.
#pragma once
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backend/api/backend.h"
#include "base/phase_times.h"
#include "base/status.h"
#include "compiler/near_ties.h"
#include "ir/graph.h"
#include "kernel/kernel_def.h"
#include "opdef/op_def.h"
#include "plan/program.h"
#include "tuner/tuner.h"

namespace planish::compiler {

struct Profile {
  // By input name; all three of equal rank.
  std::map<std::string, std::vector<int64_t>> min, opt, max;
};

struct CompileOptions {
  std::vector<Profile> profiles;
  bool fp32_exact = false;       // refuse kernels that round differently (Winograd)
  ir::DataType precision = ir::DataType::kF32;     // f16, bf16: values of the network become so
  ir::DataType io_precision = ir::DataType::kF32;  // the same of its inputs and outputs
  bool deterministic = false;    // no measuring: the cost model decides
  std::optional<double> time_budget_s;  // for measuring, counted from the call
  int64_t max_workspace = -1;    // bytes of scratch memory per step; -1: no cap
  std::string decisions;         // JSON lock file to follow; empty: choose freely
  std::vector<std::string> disabled_passes;
  std::vector<std::string> print_after;  // passes ("all": each) whose text goes to `print`
  std::function<void(const std::string& pass, const std::string& text)> print;
  // phase ("passes", "tune", "emit"), done, total; false cancels.
  std::function<bool(const std::string&, int, int)> progress;
  std::function<void(const std::string&)> log;
  bool reference_only = false;   // every step on reference code: a plan that cannot be wrong
  bool keep_graph = true;        // store the imported graph for re-targeting
  PhaseTimes* phases = nullptr;    // told where the time goes; null: nobody asks
  NearTies* near_ties = nullptr;   // told what took about as long as what was taken; null: nobody asks
  std::function<double()> now_us;  // a test's clock
};

class KnownAlternatives;

struct Environment {
  const opdef::OpRegistry& ops;
  const kernel::KernelRegistry& kernels;
  backend::Device& device;
  tuner::TimeStore* times = nullptr;
  // Where steps run that no kernel of `device` takes; null: `device` is the CPU, or they are refused.
  backend::Device* host = nullptr;
  // Scratch memory of alternatives asked about before, and whether it is that of maximal shapes;
  // compile() brings its own.
  std::map<std::string, std::pair<int64_t, bool>>* workspaces = nullptr;
  // What kernels said of problems asked about before; compile() brings its own.
  KnownAlternatives* alternatives = nullptr;
  // Of the device, over all that is timed; compile() brings its own.
  tuner::Warmth* warmth = nullptr;
};

Result<plan::Plan> compile(std::unique_ptr<ir::Graph> graph, const CompileOptions& options,
                           const Environment& environment);

}  // namespace planish::compiler
