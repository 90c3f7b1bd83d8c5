// What a pass is: a free function over a graph, named verb + object, that says whether it changed
// something. PassContext carries what passes share: the operators, the options, and counters of how
// often each rule fired (the random-graph test asks that every one of them does).
//
// A pass leaves the graph valid: values typed, order topological, names of graph outputs and of
// `keep` values kept. It never recurses over the depth of the graph and looks at each node a bounded
// number of times, so that a chain of a million nodes is no problem.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "base/status.h"
#include "ir/graph.h"
#include "opdef/op_def.h"

namespace planish::passes {

struct PassOptions {
  // After every pass: ir::verify, shape inference anew, and outputs of unchanged type.
  bool verify = false;
  // --fp32 exact: rewrites that round differently from the source are left out.
  bool fp32_exact = false;
  // What f32 values become where operators allow it: f16, bf16, or f32 for staying as they are.
  ir::DataType precision = ir::DataType::kF32;
  // A folded constant may have this many bytes, and exceed its operands' by this many.
  int64_t max_fold_bytes = int64_t(256) << 20;
  int64_t max_fold_growth = int64_t(1) << 20;
  // Multiply-adds that folding one node may take.
  int64_t max_fold_work = int64_t(1) << 28;
  // Siblings that share an input (query, key and value; parallel 1x1 convolutions) become one.
  bool merge_siblings = false;
  // For devices whose kernels read parts of an operand in place and look rows up themselves: siblings
  // that one attention reads become one product, whose parts, like looked-up rows, are made where
  // they are read.
  bool wide_regions = false;
  // For devices on which images lie channels last, and a Transpose there and back is a matter of layouts.
  bool channels_last = false;
  // Regions of several contractions (expand, depthwise, project), which split when no kernel wins.
  bool multi_root_regions = true;
  // Values beside the last one that a region around a root may hand out.
  int max_extra_outputs = 0;

  std::set<std::string, std::less<>> disabled;
  std::string stop_after;                    // pass name; empty: run all
  std::set<std::string, std::less<>> print_after;  // pass names; "all": every pass
  std::function<void(const std::string& pass, const std::string& text)> print;
  std::function<void(const std::string&)> log;
  // Passes done and to do; false cancels.
  std::function<bool(const std::string& pass, int done, int total)> progress;
  const std::atomic<bool>* cancel = nullptr;
};

struct PassStats {
  int64_t runs = 0;
  int64_t changed = 0;  // runs that changed something
  double seconds = 0;
};

struct PassContext {
  explicit PassContext(const opdef::OpRegistry& ops, PassOptions pass_options = {})
      : registry(ops), options(std::move(pass_options)) {}

  const opdef::OpRegistry& registry;
  PassOptions options;
  std::map<std::string, int64_t, std::less<>> fired;  // by rule: the pass, or "pass/rule"
  std::map<std::string, PassStats, std::less<>> stats;

  void count(std::string_view rule, int64_t times = 1) { fired[std::string(rule)] += times; }
  const opdef::OpDef* op(const ir::Node& node) const { return registry.find(node.op); }
};

using PassFunction = Result<bool> (*)(ir::Graph&, PassContext&);

struct Pass {
  std::string_view name;
  PassFunction run;
};

}  // namespace planish::passes
