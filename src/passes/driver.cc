#include "passes/driver.h"

#include <chrono>

#include "base/text.h"
#include "opdef/infer.h"

namespace planish::passes {
namespace {

constexpr int kMaxDepth = 64;  // bodies within bodies

// Bodies that are optimized on their own: a region's body is the fusion's result, not its input.
std::vector<ir::Graph*> bodies_of(ir::Graph& graph, const PassContext& context) {
  std::vector<ir::Graph*> bodies;
  for (const auto& node : graph.nodes()) {
    if (node->op == "Region" || node->attrs.empty()) continue;
    const opdef::OpDef* op = context.op(*node);
    if (!op || !op->has_subgraphs) continue;
    for (auto& [key, attribute] : node->attrs)
      if (auto* body = std::get_if<ir::GraphPtr>(&attribute); body && *body)
        bodies.push_back(body->get());
  }
  return bodies;
}

Result<bool> run_nested(const Pass& pass, ir::Graph& graph, PassContext& context, int depth) {
  bool changed = false;
  if (depth < kMaxDepth) {
    for (ir::Graph* body : bodies_of(graph, context)) {
      PLANISH_ASSIGN_OR_RETURN(bool inner, run_nested(pass, *body, context, depth + 1));
      changed |= inner;
    }
  }
  PLANISH_ASSIGN_OR_RETURN(bool outer, pass.run(graph, context));
  return changed || outer;
}

Status check(ir::Graph& graph, PassContext& context, const std::vector<ir::TensorType>& before) {
  PLANISH_RETURN_IF_ERROR(ir::verify(graph));
  PLANISH_RETURN_IF_ERROR(opdef::infer_graph(context.registry, graph));
  PLANISH_RETURN_IF_ERROR(ir::verify(graph));
  for (size_t i = 0; i < before.size(); ++i) {
    const ir::TensorType& now = graph.outputs[i]->type;
    if (now.dtype != before[i].dtype || now.rank() != before[i].rank())
      return internal_error(cat("output '", graph.outputs[i]->name, "' was ",
                                ir::to_string(before[i]), " and became ", ir::to_string(now)));
  }
  return ok_status();
}

std::vector<ir::TensorType> output_types(const ir::Graph& graph) {
  std::vector<ir::TensorType> types;
  for (const ir::Value* v : graph.outputs) types.push_back(v->type);
  return types;
}

Status cancelled() { return Status(Code::kCancelled, "optimization was cancelled"); }

}  // namespace

Result<bool> run_pass(const Pass& pass, ir::Graph& graph, PassContext& context) {
  const PassOptions& options = context.options;
  if (options.disabled.count(pass.name)) return false;
  const auto types = options.verify ? output_types(graph) : std::vector<ir::TensorType>();
  const int nodes_before = graph.node_count();
  const auto start = std::chrono::steady_clock::now();
  Result<bool> result = run_nested(pass, graph, context, 0);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const std::string where = cat("pass ", pass.name);
  if (!result.ok()) return result.status().at(where);
  PassStats& stats = context.stats[std::string(pass.name)];
  ++stats.runs;
  stats.changed += *result;
  stats.seconds += seconds;
  if (options.verify)
    if (Status s = check(graph, context, types); !s.ok()) return s.at(where);
  if (options.log && *result)
    options.log(cat(where, ": ", nodes_before, " -> ", graph.node_count(), " nodes, ",
                    int64_t(seconds * 1e6), " us"));
  return result;
}

Status run_stages(std::span<const Stage> stages, ir::Graph& graph, PassContext& context) {
  const PassOptions& options = context.options;
  int total = 0, done = 0;
  for (const Stage& stage : stages) total += int(stage.passes.size());
  for (const Stage& stage : stages) {
    bool again = true;
    for (int round = 0; again && round < (stage.repeat ? kMaxRounds : 1); ++round) {
      again = false;
      for (const Pass& pass : stage.passes) {
        if (options.cancel && options.cancel->load(std::memory_order_relaxed)) return cancelled();
        PLANISH_ASSIGN_OR_RETURN(bool changed, run_pass(pass, graph, context));
        again |= changed;
        if (options.print &&
            (options.print_after.count("all") || options.print_after.count(pass.name)))
          options.print(std::string(pass.name), ir::print(graph));
        if (options.stop_after == pass.name && !(stage.repeat && again)) return ok_status();
        if (round == 0) ++done;
        if (options.progress && !options.progress(std::string(pass.name), done, total))
          return cancelled();
      }
    }
  }
  return ok_status();
}

}  // namespace planish::passes
