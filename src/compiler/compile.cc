#include "compiler/compile.h"

#include <chrono>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "compiler/launches.h"
#include "compiler/lowering.h"
#include "opdef/infer.h"
#include "passes/convert_precision.h"
#include "passes/pipeline.h"

namespace planish::compiler {

namespace {

using nlohmann::json;

passes::PassOptions pass_options(const CompileOptions& options, const Environment& environment) {
  passes::PassOptions out;
  out.fp32_exact = options.fp32_exact;
  out.precision = options.precision;
  out.wide_regions = out.channels_last = environment.device.home() != ir::MemorySpace::kHost;
  out.disabled.insert(options.disabled_passes.begin(), options.disabled_passes.end());
  out.print_after.insert(options.print_after.begin(), options.print_after.end());
  out.print = options.print;
  out.log = options.log;
  if (options.progress)
    out.progress = [&options](const std::string&, int done, int total) {
      return options.progress("passes", done, total);
    };
  return out;
}

// What one build measures, for a build without a timing cache: partitions are priced by problems that
// come again.
class MemoryTimes : public tuner::TimeStore {
 public:
  std::optional<double> find(const std::string& key) const override {
    auto found = times_.find(key);
    return found == times_.end() ? std::nullopt : std::optional<double>(found->second);
  }
  void put(const std::string& key, double us, double) override { times_[key] = us; }

 private:
  std::map<std::string, double> times_;
};

// Small constants that shape arithmetic left behind are numbers; a view of the graph for people.
json describe_graph(const ir::Graph& graph) {
  json ops = json::object();
  for (const auto& node : graph.nodes()) {
    json& count = ops[node->op];
    count = count.is_null() ? 1 : count.get<int>() + 1;
  }
  return {{"nodes", graph.node_count()}, {"ops", ops}};
}

json describe_passes(const passes::PassContext& context) {
  json out = json::array();
  for (const auto& [name, stats] : context.stats) {
    auto fired = context.fired.find(name);
    out.push_back({{"pass", name},
                   {"runs", stats.runs},
                   {"changed", stats.changed},
                   {"fired", fired == context.fired.end() ? 0 : fired->second}});
  }
  return out;
}

}  // namespace

double now_us(const CompileOptions& options) {
  if (options.now_us) return options.now_us();
  return std::chrono::duration<double, std::micro>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

Result<CompiledGraph> compile_graph(std::unique_ptr<ir::Graph> graph, const CompileOptions& options,
                                    const Environment& environment, double deadline_us, int depth) {
  PhaseTimes::Scope phase(options.phases, "candidates");
  PartitionNotes notes;
  if (!options.reference_only) {
    // Half of the time for whether regions are split, the other for the steps that come of it.
    const double now = now_us(options);
    PLANISH_ASSIGN_OR_RETURN(
        notes, choose_partition(*graph, options, environment, now + (deadline_us - now) / 2));
  }
  PLANISH_ASSIGN_OR_RETURN(Lowered lowered, lower(std::move(graph), options, environment));
  for (LoweredNode& entry : lowered.nodes)
    if (auto found = notes.find(node_key(*entry.node)); found != notes.end())
      entry.considered.insert(entry.considered.begin(), found->second.begin(),
                              found->second.end());
  PLANISH_RETURN_IF_ERROR(compile_bodies(lowered, options, environment, deadline_us, depth));
  PLANISH_RETURN_IF_ERROR(enumerate_alternatives(lowered, options, environment));
  PLANISH_RETURN_IF_ERROR(select(lowered, options, environment, deadline_us));
  CompiledGraph compiled;
  {
    PhaseTimes::Scope emitting(options.phases, "emit");
    PLANISH_ASSIGN_OR_RETURN(Emitted emitted, emit(lowered, options, environment));
    compiled.program = std::move(emitted.program);
    for (const LoweredNode* node : emitted.nodes)
      compiled.near_ties.push_back(node ? near_ties_of(*node) : StepTies());
  }
  if (environment.device.home() != ir::MemorySpace::kHost) {
    PhaseTimes::Scope any_size(options.phases, "any size");
    PLANISH_RETURN_IF_ERROR(add_any_size_kernels(compiled.program, lowered, environment));
  }
  compiled.decisions = write_decisions(lowered);
  compiled.cost = cost_of(lowered, environment);
  return compiled;
}

namespace {

// The graph with its normalizations deferred into the products around them, fused; null when there
// are none, or no device whose kernels do that.
Result<std::unique_ptr<ir::Graph>> deferred_graph(const ir::Graph& graph, passes::PassContext& context) {
  std::unique_ptr<ir::Graph> none;
  const passes::Pass* defer = passes::find_pass("defer_layer_norm");
  if (!context.options.wide_regions) return none;
  auto variant = graph.clone();
  PLANISH_ASSIGN_OR_RETURN(const bool changed, passes::run_pass(*defer, *variant, context));
  if (!changed) return none;
  PLANISH_RETURN_IF_ERROR(passes::fuse(*variant, context));
  return variant;
}

// A variant that is predicted alone must promise so much. On an H200 BERT-base's was predicted to take
// 0.894, 0.933 and 0.945 of the time at batch 1, 8 and 128, and took 0.866, 0.938 and 1.061: predictions
// do not see what joining moments costs beside large products.
constexpr double kPromise = 0.94;

// Compiles the graph and, where there is one, its variant, and keeps the cheaper program: by measured
// times, unless nothing is measured or time ran out. Decisions say which one they are for.
Result<CompiledGraph> compile_cheaper(std::unique_ptr<ir::Graph> graph,
                                      std::unique_ptr<ir::Graph> deferred,
                                      const CompileOptions& options, const Environment& environment,
                                      double deadline_us, json& report) {
  if (!deferred) return compile_graph(std::move(graph), options, environment, deadline_us);
  const auto mark = [](CompiledGraph& compiled) {
    json decisions = json::parse(compiled.decisions);
    decisions["deferred_norms"] = true;
    compiled.decisions = decisions.dump(1);
  };
  if (!options.decisions.empty()) {
    const json given = json::parse(options.decisions, nullptr, /*allow_exceptions=*/false);
    const bool wanted = given.is_object() && given.value("deferred_norms", json(false)) == json(true);
    PLANISH_ASSIGN_OR_RETURN(CompiledGraph compiled, compile_graph(std::move(wanted ? deferred : graph), options,
                                                                   environment, deadline_us));
    if (wanted) mark(compiled);
    return compiled;
  }
  const double begin = now_us(options);
  PLANISH_ASSIGN_OR_RETURN(CompiledGraph plain, compile_graph(std::move(graph), options, environment,
                                                              begin + (deadline_us - begin) / 2));
  PLANISH_ASSIGN_OR_RETURN(CompiledGraph other, compile_graph(std::move(deferred), options, environment, deadline_us));
  const bool predicted = options.deterministic || now_us(options) > deadline_us;
  const auto us = [&](const CompiledGraph& c) { return predicted ? c.cost.predicted_us : c.cost.us; };
  const bool taken = other.cost.host_steps <= plain.cost.host_steps && us(other) < (predicted ? kPromise : 1) * us(plain);
  report["deferred_norms"] = {{"taken", taken}, {"measured", !predicted}, {"us", us(other)},
                              {"steps", other.cost.steps}, {"plain_us", us(plain)},
                              {"plain_steps", plain.cost.steps}};
  if (!taken) return plain;
  mark(other);
  return other;
}

}  // namespace

Result<plan::Plan> compile(std::unique_ptr<ir::Graph> graph, const CompileOptions& options,
                           const Environment& given) {
  MemoryTimes own_times;
  Environment environment = given;
  if (!environment.times) environment.times = &own_times;
  std::map<std::string, std::pair<int64_t, bool>> own_workspaces;
  if (!environment.workspaces) environment.workspaces = &own_workspaces;
  KnownAlternatives own_alternatives;
  if (!environment.alternatives) environment.alternatives = &own_alternatives;
  tuner::Warmth own_warmth;
  if (!environment.warmth) environment.warmth = &own_warmth;
  if (environment.device.home() != ir::MemorySpace::kHost && !environment.host)
    return failed_precondition("a device with memory of its own needs a host device beside it");
  const double begin = now_us(options);
  const double deadline = options.time_budget_s ? begin + *options.time_budget_s * 1e6 : 1e300;
  PhaseTimes::Scope phase(options.phases, "passes");
  plan::Plan plan;
  plan.metadata = graph->metadata;
  PLANISH_RETURN_IF_ERROR(opdef::infer_graph(environment.ops, *graph));
  json report;
  report["before"] = describe_graph(*graph);
  if (options.keep_graph) plan.graph_text = ir::print(*graph);
  if (options.io_precision != ir::DataType::kF32)
    PLANISH_RETURN_IF_ERROR(
        passes::convert_io(*graph, environment.ops, options.io_precision));
  std::unique_ptr<ir::Graph> deferred;
  if (!options.reference_only) {
    passes::PassContext context(environment.ops, pass_options(options, environment));
    PLANISH_RETURN_IF_ERROR(passes::prepare(*graph, context));
    PLANISH_ASSIGN_OR_RETURN(deferred, deferred_graph(*graph, context));
    PLANISH_RETURN_IF_ERROR(passes::fuse(*graph, context));
    report["passes"] = describe_passes(context);
  }
  report["after"] = describe_graph(*graph);
  PLANISH_ASSIGN_OR_RETURN(CompiledGraph compiled,
                           compile_cheaper(std::move(graph), std::move(deferred), options, environment,
                                           deadline, report));
  plan.program = std::move(compiled.program);
  plan.decisions = std::move(compiled.decisions);
  if (options.near_ties) *options.near_ties = std::move(compiled.near_ties);
  int reference_steps = 0, host_steps = 0, transfers = 0;
  plan::for_each_step(plan.program,
                      [&](const plan::Step& step) { reference_steps += step.reference; });
  for (const plan::Step& step : plan.program.steps) {
    const kernel::KernelDef* kernel = environment.kernels.find(step.kernel);
    host_steps += kernel && kernel->device_kind() != plan.program.device_kind;
    transfers += step.problem.root_op() == "Transfer";
  }
  report["steps"] = plan.program.steps.size();
  report["reference_steps"] = reference_steps;
  if (environment.device.home() != ir::MemorySpace::kHost) {
    report["host_steps"] = host_steps;
    report["transfers"] = transfers;
  }
  plan.report = report.dump(1);
  PLANISH_RETURN_IF_ERROR(plan::verify(plan.program));
  if (names_launches(options.decisions)) {
    PLANISH_RETURN_IF_ERROR(apply_launches(plan.program, options.decisions));
    note_launches(plan, {});
  }
  return plan;
}

}  // namespace planish::compiler
