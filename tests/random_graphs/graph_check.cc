#include "graph_check.h"

#include <cmath>

#include "backend/cpu/cpu_backend.h"
#ifdef PLANISH_HAS_CUDA
#include "backend/cuda/cuda_backend.h"
#endif
#include "base/hash.h"
#include "base/text.h"
#include "check/choose_tactics.h"
#include "check/verify.h"
#include "compiler/compile.h"
#include "eval/control_kernel.h"
#include "eval/interpreter.h"
#include "eval/reference_kernel.h"
#include "ops/register_ops.h"
#include "passes/pipeline.h"
#include "plan/plan_file.h"
#include "runtime/context.h"

namespace planish::tests {
namespace {

// For engines with Winograd steps, on both terms: how sums round is not asked for here as verify() does.
constexpr double kTransformFactor = 16;

// Times that say nothing: which kernel, layout and tactic wins is drawn, among `values` times.
class DrawnTimes : public tuner::TimeStore {
 public:
  DrawnTimes(uint64_t seed, int64_t values) : seed_(seed), values_(values) {}
  std::optional<double> find(const std::string& key) const override {
    return 1 + double(Random(seed_ ^ hash128(std::as_bytes(std::span(key))).low).below(values_));
  }
  void put(const std::string&, double, double) override {}

 private:
  uint64_t seed_;
  int64_t values_;
};

// "cpu.matmul_f32 (x0 c1) -> (v_3)", a line each; views stand with their parents.
std::string describe_steps(const plan::Program& program) {
  std::string out;
  const auto name = [&](int v) -> std::string {
    if (v < 0) return "_";
    const plan::ProgramValue& value = program.values[size_t(v)];
    std::string text = cat(value.name, ":", ir::to_string(value.type));
    for (int p = value.parent; p >= 0; p = program.values[size_t(p)].parent)
      text += cat(" in ", program.values[size_t(p)].name);
    if (value.parent >= 0)
      text += cat(" at ", value.offset.to_string(), value.strided ? " strided" : "");
    return text;
  };
  for (const plan::Step& step : program.steps) {
    std::vector<std::string> operands, results;
    for (int v : step.operands) operands.push_back(name(v));
    for (int v : step.results) results.push_back(name(v));
    out += cat("  ", step.kernel, " [", step.tactic.to_string(), "] ",
               kernel::describe(step.problem), "\n    (", join(operands), ") -> (", join(results),
               ")\n");
  }
  return out;
}

double largest_of(const ir::Tensor& t) {
  double largest = 0;
  for (int64_t i = 0; i < t.count(); ++i)
    if (const double v = std::fabs(t.f64(i)); std::isfinite(v)) largest = std::max(largest, v);
  return largest;
}

class Checker {
 public:
  Checker(const Machine& machine, const RandomGraph& graph, uint64_t seed)
      : machine_(machine), graph_(graph), seed_(seed),
        device_(seed % 4 == 0 ? machine.two_threads : machine.one_thread) {}

  GraphReport run() {
    const Status s = check();
    report_.device_lost = s.code() == Code::kDeviceError;
    if (s.ok()) report_.steps.clear();
    else report_.failure = s.to_string();
    return std::move(report_);
  }

 private:
  struct Expected {
    std::vector<ir::Tensor> plain, wide;
  };

  Result<Expected> interpret(std::span<const ir::Tensor> feeds) const {
    Expected out;
    eval::Options wide;
    wide.wide = true;
    PLANISH_ASSIGN_OR_RETURN(out.plain, eval::interpret(*machine_.ops, *graph_.graph, feeds));
    PLANISH_ASSIGN_OR_RETURN(out.wide, eval::interpret(*machine_.ops, *graph_.graph, feeds, wide));
    return out;
  }

  Status check() {
    PLANISH_ASSIGN_OR_RETURN(expected_, interpret(graph_.feeds));
    if (!graph_.resized_feeds.empty()) {
      PLANISH_ASSIGN_OR_RETURN(resized_, interpret(graph_.resized_feeds));
    }
    PLANISH_RETURN_IF_ERROR(optimizer_off());
    PLANISH_RETURN_IF_ERROR(optimizer_on());
    PLANISH_RETURN_IF_ERROR(drawn_choices());
    return graph_.smooth ? half_precision() : ok_status();
  }

  // f16 and bf16 in turn, against the interpreter on the graph that the one pass leaves.
  Status half_precision() {
    passes::PassOptions pass_options;
    pass_options.verify = true;
    pass_options.precision = seed_ % 16 < 8 ? ir::DataType::kF16 : ir::DataType::kBF16;
    passes::PassContext converting(*machine_.ops, pass_options), context(*machine_.ops, pass_options);
    auto converted = graph_.graph->clone();
    if (auto s = passes::run_pass(*passes::find_pass("convert_precision"), *converted, converting);
        !s.ok())
      return s.status().at("half precision: conversion");
    Expected expected;
    eval::Options wide;
    wide.wide = true;
    PLANISH_ASSIGN_OR_RETURN(expected.plain,
                             eval::interpret(*machine_.ops, *converted, graph_.feeds));
    PLANISH_ASSIGN_OR_RETURN(expected.wide,
                             eval::interpret(*machine_.ops, *converted, graph_.feeds, wide));
    auto graph = graph_.graph->clone();
    if (Status s = passes::optimize(*graph, context); !s.ok()) return s.at("half precision: passes");
    for (const auto& [rule, times] : context.fired) report_.fired[rule] += times;
    compiler::CompileOptions options;
    for (const passes::Pass& pass : passes::all_passes())
      options.disabled_passes.emplace_back(pass.name);
    options.deterministic = !machine_.host;
    // A GPU's tensor cores are for half precision above all: every tactic of theirs may come.
    auto plan = machine_.host ? compile_drawn(std::move(graph), options)
                              : compile(std::move(graph), options, nullptr);
    if (!plan.ok()) return plan.status().at("half precision: build");
    for (const plan::Step& step : plan->program.steps) ++report_.kernels[step.kernel];
    report_.steps = describe_steps(plan->program);
    auto engine = load(std::move(plan).value());
    if (!engine.ok()) return engine.status().at("half precision: load");
    auto outputs = run(*engine, graph_.feeds);
    if (!outputs.ok()) return outputs.status().at("half precision: run");
    // Values are f32 at the graph's edge and rounded inside.
    return compare("half precision", **engine, *outputs, expected,
                   ir::unit_roundoff(pass_options.precision));
  }

  Result<std::shared_ptr<runtime::Engine>> load(plan::Plan plan) const {
    runtime::EngineOptions options;
    options.host = machine_.host;
    return runtime::Engine::create(std::move(plan), device_, machine_.kernels, options);
  }

  Status optimizer_off() {
    compiler::CompileOptions options;
    for (const passes::Pass& pass : passes::all_passes())
      options.disabled_passes.emplace_back(pass.name);
    options.deterministic = true;
    auto plan = compile(graph_.graph->clone(), options, nullptr);
    if (!plan.ok()) return plan.status().at("optimizer off: build");
    return check_plan("optimizer off", std::move(plan).value()).status();
  }

  Status optimizer_on() {
    compiler::CompileOptions options;
    options.deterministic = true;
    auto graph = graph_.graph->clone();
    if (machine_.planted_pass) machine_.planted_pass(*graph);
    auto plan = compile(std::move(graph), options, nullptr);
    if (!plan.ok()) return plan.status().at("optimizer on: build");
    auto bytes = plan::serialize(*plan);
    if (!bytes.ok()) return bytes.status().at("plan round trip: write");
    auto kept = std::make_shared<const std::vector<std::byte>>(std::move(bytes).value());
    auto loaded = plan::read_plan(*kept, kept);
    if (!loaded.ok()) return loaded.status().at("plan round trip: read");
    PLANISH_ASSIGN_OR_RETURN(auto built, check_plan("optimizer on", std::move(plan).value()));
    PLANISH_ASSIGN_OR_RETURN(auto again, check_plan("plan round trip", std::move(loaded).value()));
    for (size_t i = 0; i < built.size(); ++i)
      if (built[i].dims() != again[i].dims() || !built[i].same_bytes(again[i]))
        return wrong(cat("plan round trip: output ", i, " differs from the built engine's"));
    return ok_status();
  }

  // The passes run here with options that builds leave off, and verification after each.
  Status drawn_choices() {
    Random random(seed_);
    passes::PassOptions pass_options;
    pass_options.verify = true;
    pass_options.merge_siblings = pass_options.channels_last = true;
    pass_options.multi_root_regions = random.chance(0.5);
    pass_options.max_extra_outputs = int(random.below(3));
    passes::PassContext context(*machine_.ops, pass_options);
    auto graph = graph_.graph->clone();
    if (Status s = passes::optimize(*graph, context); !s.ok()) return s.at("drawn choices: passes");
    report_.fired.insert(context.fired.begin(), context.fired.end());
    compiler::CompileOptions options;
    for (const passes::Pass& pass : passes::all_passes())
      options.disabled_passes.emplace_back(pass.name);
    auto plan = compile_drawn(std::move(graph), options);
    if (!plan.ok()) return plan.status().at("drawn choices: build");
    return check_plan("drawn choices", std::move(plan).value()).status();
  }

  Result<plan::Plan> compile(std::unique_ptr<ir::Graph> graph,
                             const compiler::CompileOptions& options, tuner::TimeStore* times) {
    return compiler::compile(std::move(graph), options,
                             {*machine_.ops, machine_.kernels, *device_, times, machine_.host.get()});
  }

  Result<plan::Plan> compile_drawn(std::unique_ptr<ir::Graph> graph, compiler::CompileOptions options) {
    options.time_budget_s = 0;  // only what the store says
    double now = 0;
    options.now_us = [&now] { return now += 1; };
    compiler::NearTies ties;
    options.near_ties = &ties;
    // A kernel that spills is refused, which a race passes over: another draw then.
    constexpr uint64_t kDraws = 8;
    for (uint64_t draw = 0;; ++draw) {
      // On a GPU few times, so that there are near ties.
      DrawnTimes times(seed_ + (draw << 48), device_->home() == ir::MemorySpace::kHost ? 1000 : 24);
      auto plan = compile(graph->clone(), options, &times);
      const bool spills = plan.status().code() == Code::kUnsupported &&
                          plan.status().message().find("spills registers") != std::string::npos;
      if (spills && draw + 1 < kDraws) continue;
      if (plan.ok()) PLANISH_RETURN_IF_ERROR(exchange_drawn(*plan, ties, times));
      return plan;
    }
  }

  // On a GPU: tactics that whole runs of drawn times prefer.
  Status exchange_drawn(plan::Plan& plan, const compiler::NearTies& ties, DrawnTimes& times) {
    check::RaceOptions options;
    options.host = machine_.host;
    options.times = &times;
    return check::choose_tactics(plan, ties, device_, machine_.kernels, options);
  }

  // The outputs for the first feeds.
  Result<std::vector<ir::Tensor>> check_plan(const std::string& road, plan::Plan plan) {
    for (const plan::Step& step : plan.program.steps) ++report_.kernels[step.kernel];
    report_.steps = describe_steps(plan.program);
    auto engine = load(std::move(plan));
    if (!engine.ok()) return engine.status().at(cat(road, ": load"));
    auto outputs = run(*engine, graph_.feeds);
    if (!outputs.ok()) return outputs.status().at(cat(road, ": run"));
    PLANISH_RETURN_IF_ERROR(compare(road, **engine, *outputs, expected_));
    if (!graph_.resized_feeds.empty()) {
      auto more = run(*engine, graph_.resized_feeds);
      if (!more.ok()) return more.status().at(cat(road, ": run at other sizes"));
      PLANISH_RETURN_IF_ERROR(compare(cat(road, " at other sizes"), **engine, *more, resized_));
    }
    return outputs;
  }

  static Result<std::vector<ir::Tensor>> run(std::shared_ptr<const runtime::Engine> engine,
                                             std::span<const ir::Tensor> feeds) {
    PLANISH_ASSIGN_OR_RETURN(auto context, runtime::ExecutionContext::create(engine));
    for (size_t i = 0; i < feeds.size(); ++i)
      PLANISH_RETURN_IF_ERROR(context->set_input(int(i), feeds[i].data(), feeds[i].dims()));
    PLANISH_RETURN_IF_ERROR(context->run());
    std::vector<ir::Tensor> outputs;
    for (size_t i = 0; i < engine->program().outputs.size(); ++i) {
      PLANISH_ASSIGN_OR_RETURN(const ir::Tensor output, context->output(int(i)));
      outputs.push_back(output.clone());
    }
    return outputs;
  }

  static Status wrong(std::string message) {
    return Status(Code::kVerificationFailed, std::move(message));
  }

  // `unit`: the roundoff of the type inside; 0: of each output's own type.
  Status compare(const std::string& road, const runtime::Engine& engine,
                 const std::vector<ir::Tensor>& got, const Expected& expected,
                 double unit = 0) const {
    check::VerifyOptions options;
    if (engine.rounds_differently()) options.roundoff_factor *= kTransformFactor;
    if (got.size() != expected.plain.size())
      return wrong(cat(road, ": got ", got.size(), " outputs, expected ", expected.plain.size()));
    for (size_t i = 0; i < got.size(); ++i) {
      const std::string& name = graph_.graph->outputs[i]->name;
      const double rounding = check::model_rounding(expected.plain[i], expected.wide[i]);
      if (unit > 0) options.atol = std::max(16 * rounding, 64 * unit * largest_of(expected.plain[i]));
      PLANISH_ASSIGN_OR_RETURN(const check::Comparison row,
                               check::compare(name, got[i], expected.plain[i], rounding, options));
      if (!row.good)
        return wrong(cat(road, ": output '", name, "' ", ir::to_string(got[i].type()), " element ",
                         row.index, ": got ", row.got, ", expected ", row.expected, " (",
                         ir::to_string(expected.plain[i].type()), ") within ", row.bound));
    }
    return ok_status();
  }

  const Machine& machine_;
  const RandomGraph& graph_;
  const uint64_t seed_;
  const std::shared_ptr<backend::Device> device_;
  Expected expected_, resized_;
  GraphReport report_;
};

// The graph with `value` as an input instead of a result; null when it is none.
std::unique_ptr<ir::Graph> cut_at(const ir::Graph& graph, const std::string& value,
                                  const ir::Tensor& tensor) {
  auto out = graph.clone();
  ir::Value* v = out->find(value);
  if (!v || !v->producer) return nullptr;
  ir::TensorType type = v->type;
  type.shape = ir::to_shape(tensor.dims());
  ir::Value* input = out->add_input(cat("cut_", value), type);
  out->replace_uses(v, input);
  std::erase_if(out->outputs, [&](const ir::Value* o) { return o == input; });
  return out;
}

void drop_unread(ir::Graph& graph, std::vector<ir::Tensor>& feeds) {
  for (bool changed = true; changed;) {
    changed = false;
    for (auto it = graph.nodes().rbegin(); it != graph.nodes().rend(); ++it) {
      ir::Node* node = it->get();
      bool read = false;
      for (const ir::Value* v : node->outputs) read |= !v->uses.empty() || graph.is_output(v);
      if (read) continue;
      graph.erase(node);
      changed = true;
      break;
    }
  }
  for (size_t i = graph.inputs.size(); i-- > 0;) {
    ir::Value* v = graph.inputs[i];
    if (!v->uses.empty() || graph.is_output(v)) continue;
    graph.erase_value(v);
    feeds.erase(feeds.begin() + ptrdiff_t(i));
  }
}

}  // namespace

Result<std::unique_ptr<Machine>> Machine::make(std::string_view kind) {
  auto machine = std::make_unique<Machine>();
  static const opdef::OpRegistry* ops = [] {
    auto* all = new opdef::OpRegistry;
    ops::register_all_ops(*all);
    return all;
  }();
  machine->ops = ops;
  auto cpu = cpu::make_cpu_backend();
  cpu->register_kernels(machine->kernels);
  machine->kernels.add(eval::make_reference_kernel(*ops));
  machine->kernels.add(eval::make_control_kernel(*ops));
  PLANISH_ASSIGN_OR_RETURN(machine->one_thread, cpu->device(0, 1));
  PLANISH_ASSIGN_OR_RETURN(machine->two_threads, cpu->device(0, 2));
  if (kind == "cpu") return machine;
#ifdef PLANISH_HAS_CUDA
  if (kind == "cuda") {
    const auto cuda = cuda::make_cuda_backend();
    PLANISH_RETURN_IF_ERROR(cuda->available());
    cuda->register_kernels(machine->kernels);
    machine->host = machine->two_threads;
    PLANISH_ASSIGN_OR_RETURN(machine->one_thread, cuda->device(0, 0));
    machine->two_threads = machine->one_thread;
    return machine;
  }
#endif
  return invalid_argument(cat("no device kind '", kind, "', expected cpu or cuda"));
}

GraphReport check_graph(const Machine& machine, const RandomGraph& graph, uint64_t seed) {
  return Checker(machine, graph, seed).run();
}

RandomGraph shrink(const Machine& machine, RandomGraph graph, uint64_t seed) {
  const auto copy = [](const RandomGraph& g) {
    RandomGraph out;
    out.graph = g.graph->clone();
    out.feeds = g.feeds;
    out.smooth = g.smooth;
    return out;
  };
  const auto fails = [&](RandomGraph& trial) {
    drop_unread(*trial.graph, trial.feeds);
    return !trial.graph->outputs.empty() && !check_graph(machine, trial, seed).failure.empty();
  };
  if (RandomGraph trial = copy(graph); fails(trial)) graph = std::move(trial);
  else return graph;  // only at other sizes
  for (size_t i = graph.graph->outputs.size(); i-- > 0 && graph.graph->outputs.size() > 1;) {
    RandomGraph trial = copy(graph);
    if (i >= trial.graph->outputs.size()) continue;
    trial.graph->outputs.erase(trial.graph->outputs.begin() + ptrdiff_t(i));
    if (fails(trial)) graph = std::move(trial);
  }
  std::map<std::string, ir::Tensor> values;
  eval::Options options;
  options.observer = [&](const ir::Value& v, const ir::Tensor& t) { values[v.name] = t; };
  if (!eval::interpret(*machine.ops, *graph.graph, graph.feeds, options).ok()) return graph;
  for (auto it = values.rbegin(); it != values.rend(); ++it) {
    RandomGraph trial;
    trial.graph = cut_at(*graph.graph, it->first, it->second);
    if (!trial.graph) continue;
    trial.feeds = graph.feeds;
    trial.smooth = graph.smooth;
    trial.feeds.push_back(it->second);
    if (fails(trial)) graph = std::move(trial);
  }
  return graph;
}

}  // namespace planish::tests
