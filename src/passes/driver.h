// Runs passes: over the bodies of If, Loop and Scan as well, with timing, verification, printing,
// progress and cancellation as PassOptions ask.
#pragma once
#include <span>

#include "passes/pass.h"

namespace planish::passes {

// Passes that run together; a repeated stage runs until nothing changes (at most kMaxRounds times).
struct Stage {
  std::span<const Pass> passes;
  bool repeat = false;
};
inline constexpr int kMaxRounds = 12;

// One pass over the graph and its bodies. Errors name the pass.
Result<bool> run_pass(const Pass& pass, ir::Graph& graph, PassContext& context);

// kCancelled when options.cancel or options.progress say so; the graph is valid then, too.
Status run_stages(std::span<const Stage> stages, ir::Graph& graph, PassContext& context);

}  // namespace planish::passes
