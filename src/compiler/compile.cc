#include "compiler/compile.h"

#include <chrono>

#include "base/text.h"
#include "compiler/lowering.h"
#include "opdef/infer.h"

namespace planish::compiler {

Result<plan::Plan> compile(std::unique_ptr<ir::Graph> graph, const CompileOptions& options,
                           const Environment& environment) {
  const auto now_us = options.now_us ? options.now_us : [] {
    return std::chrono::duration<double, std::micro>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
  };
  const double begin = now_us();
  const double deadline = options.time_budget_s ? begin + *options.time_budget_s * 1e6 : 1e300;
  plan::Plan plan;
  plan.metadata = graph->metadata;
  PLANISH_RETURN_IF_ERROR(opdef::infer_graph(environment.ops, *graph));
  PLANISH_ASSIGN_OR_RETURN(Lowered lowered, lower(std::move(graph), options, environment));
  PLANISH_RETURN_IF_ERROR(enumerate_alternatives(lowered, options, environment));
  PLANISH_RETURN_IF_ERROR(select(lowered, options, environment, deadline));
  PLANISH_ASSIGN_OR_RETURN(plan.program, emit(lowered, options, environment));
  plan.decisions = write_decisions(lowered);
  PLANISH_RETURN_IF_ERROR(plan::verify(plan.program));
  return plan;
}

}  // namespace planish::compiler
