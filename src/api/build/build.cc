// The public build() over compiler::compile, and Plan.
#include "planish/build.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <mutex>
#include <optional>
#include <set>

#include "api/build/network_impl.h"
#include "api/build/whole_runs.h"
#include "api/runtime/convert.h"
#include "api/runtime/engine_impl.h"
#include "backend/api/device_with_info.h"
#include "base/activity.h"
#include "base/log.h"
#include "base/phase_times.h"
#include "base/text.h"
#include "compiler/compile.h"
#include "kernel/library_kernel.h"
#include "passes/pipeline.h"
#include "plan/plan_file.h"
#include "tuner/timing_cache.h"

namespace planish::v1 {

struct Plan::Impl {
  std::shared_ptr<const plan::EncodedPlan> file;
  // The file in memory, made when somebody asks for it.
  mutable std::once_flag serialized;
  mutable std::vector<std::byte> bytes;
  std::vector<BuildPhase> phases;
};

namespace {

planish::Status check_options(const BuildOptions& options, const ir::Graph& graph) {
  const auto refuse = [](std::string_view name, auto got, std::string_view expected) {
    return invalid_argument(cat("option ", name, ": got ", got, ", expected ", expected));
  };
  if (options.max_workspace_bytes < 0)
    return refuse("max_workspace_bytes", options.max_workspace_bytes, "0 (none) or more");
  if (options.max_memory_bytes < 0)
    return refuse("max_memory_bytes", options.max_memory_bytes, "0 (none) or more");
  if (options.time_budget_s && !(*options.time_budget_s >= 0))
    return refuse("time_budget_s", *options.time_budget_s, "0 or more seconds");
  for (const Profile& profile : options.profiles) {
    for (const auto& [name, shapes] : profile) {
      const ir::Value* input = nullptr;
      for (const ir::Value* one : graph.inputs)
        if (one->name == name) input = one;
      if (!input) return invalid_argument(cat("profile for '", name, "': there is no such input"));
      const size_t rank = input->type.shape.size();
      for (const auto* dims : {&shapes.min, &shapes.opt, &shapes.max}) {
        if (dims->size() != rank)
          return invalid_argument(cat("profile for '", name, "': shape ", bracketed(*dims),
                                      " has rank ", dims->size(), ", expected ", rank));
      }
      for (size_t i = 0; i < rank; ++i) {
        if (shapes.min[i] < 0 || shapes.min[i] > shapes.opt[i] || shapes.opt[i] > shapes.max[i])
          return invalid_argument(cat("profile for '", name, "', dim ", i, ": min ", shapes.min[i],
                                      ", opt ", shapes.opt[i], ", max ", shapes.max[i],
                                      "; expected 0 <= min <= opt <= max"));
      }
    }
  }
  for (const auto* names : {&options.disabled_passes, &options.print_after}) {
    for (const std::string& name : *names) {
      if ((names == &options.print_after && name == "all") || passes::find_pass(name)) continue;
      return invalid_argument(
          cat("there is no pass '", name, "'", api::near_names(name, pass_names())));
    }
  }
  return ok_status();
}

// Of a time budget on a GPU, for the steps; the rest is for whole runs.
constexpr double kStepShare = 0.85;

// The share of a build that each phase takes, for a progress bar that moves evenly enough.
struct PhaseShare {
  std::string_view phase;
  double begin, end;
};
constexpr PhaseShare kPhases[] = {
    {"passes", 0.0, 0.05}, {"tune", 0.05, 0.90}, {"emit", 0.90, 0.98}, {"write", 0.98, 1.0}};

ir::DataType value_type(Precision precision) {
  return precision == Precision::kFp16   ? ir::DataType::kF16
         : precision == Precision::kBf16 ? ir::DataType::kBF16
                                         : ir::DataType::kF32;
}

compiler::CompileOptions compile_options(const BuildOptions& from) {
  compiler::CompileOptions options;
  for (const Profile& profile : from.profiles) {
    compiler::Profile& to = options.profiles.emplace_back();
    for (const auto& [name, shapes] : profile) {
      to.min[name] = shapes.min;
      to.opt[name] = shapes.opt;
      to.max[name] = shapes.max;
    }
  }
  options.fp32_exact = from.fp32 == Fp32Mode::kExact;
  options.precision = value_type(from.precision);
  options.io_precision = value_type(from.io_precision);
  options.deterministic = from.deterministic;
  options.time_budget_s = from.time_budget_s;
  if (from.max_workspace_bytes > 0) options.max_workspace = from.max_workspace_bytes;
  options.decisions = from.decisions;
  options.disabled_passes = from.disabled_passes;
  options.log = [](const std::string& line) { PLANISH_LOG(kInfo, line); };
  return options;
}

// Identities of the plugins whose operators or kernels the program uses.
std::vector<std::string> plugins_of(const plan::Program& program, const api::Registry& registry) {
  std::vector<std::string> out;
  for (const auto& plugin : registry.plugins) {
    const planish_plugin& description = *plugin->description;
    std::set<std::string_view> kernels, ops;
    for (int i = 0; i < description.kernel_count; ++i) kernels.insert(description.kernels[i]->name);
    for (int i = 0; i < description.op_count; ++i) ops.insert(description.ops[i]->name);
    bool used = false;
    plan::for_each_step(program, [&](const plan::Step& step) {
      used |= kernels.count(step.kernel) > 0;
      for (const kernel::Stage& stage : step.problem.stages) used |= ops.count(stage.op) > 0;
    });
    if (used) out.push_back(plugin->identity);
  }
  return out;
}

bool has_libraries(const kernel::KernelRegistry& kernels, std::string_view device_kind) {
  return std::any_of(kernels.all().begin(), kernels.all().end(), [&](const auto& kernel) {
    return kernel->device_kind() == device_kind && dynamic_cast<const kernel::LibraryKernel*>(kernel.get());
  });
}

// Puts into each step what an engine would pack at load.
planish::Status pack_weights(plan::Plan& plan, std::shared_ptr<backend::Device> device,
                             std::shared_ptr<backend::Device> host,
                             const kernel::KernelRegistry& kernels) {
  runtime::EngineOptions options;
  options.host = std::move(host);
  PLANISH_ASSIGN_OR_RETURN(const auto engine,
                           runtime::Engine::create(plan, std::move(device), kernels, options));
  for (size_t i = 0; i < plan.program.steps.size(); ++i)
    if (const kernel::Blob* blob = engine->packed(int(i)))
      plan.program.steps[i].packed.assign(blob->bytes.begin(), blob->bytes.end());
  return ok_status();
}

}  // namespace
}  // namespace planish::v1

namespace planish::api {

std::string name_of(v1::Precision precision) {
  switch (precision) {
    case v1::Precision::kTf32: return "tf32";
    case v1::Precision::kFp16: return "fp16";
    case v1::Precision::kBf16: return "bf16";
    default: return "fp32";
  }
}

planish::Result<v1::Precision> precision_named(std::string_view name) {
  using enum v1::Precision;
  for (const v1::Precision precision : {kFp32, kTf32, kFp16, kBf16})
    if (name_of(precision) == name) return precision;
  return invalid_argument(cat("precision: got '", name, "', expected fp32, tf32, fp16 or bf16"));
}

}  // namespace planish::api

namespace planish::v1 {

Status Plan::save(const std::string& path) const {
  return api::guarded([&] { return api::to_public(impl_->file->write(path)); });
}
const std::byte* Plan::data() const {
  std::call_once(impl_->serialized, [&] { impl_->bytes = impl_->file->to_memory(); });
  return impl_->bytes.data();
}
size_t Plan::bytes() const { return impl_->file->bytes(); }
const std::string& Plan::report() const { return impl_->file->plan().report; }
const std::string& Plan::decisions() const { return impl_->file->plan().decisions; }
const std::vector<BuildPhase>& Plan::phases() const { return impl_->phases; }

Result<Engine> Plan::engine(const EngineOptions& options) const {
  return api::guarded([&] { return api::make_engine(plan::Plan(impl_->file->plan()), options); });
}

namespace {

// `own`: the graph that the passes change, made when the options have been found good.
Result<Plan> build_graph(const Network::Impl& from,
                         const std::function<std::unique_ptr<ir::Graph>()>& own,
                         const BuildOptions& options) {
  return api::guarded([&]() -> Result<Plan> {
    if (from.graph->outputs.empty())
      return Status(Code::kInvalidArgument, "the network has no outputs; mark some");
    PLANISH_API_RETURN_IF_ERROR(check_options(options, *from.graph));
    const auto begin = std::chrono::steady_clock::now();
    PhaseTimes phases;
    std::optional<PhaseTimes::Scope> phase(std::in_place, &phases, "passes");
    const auto enter = [&](const char* name) {
      phase.reset();
      phase.emplace(&phases, name);
    };
    auto graph = own();
    PLANISH_API_RETURN_IF_ERROR(api::bind_shapes(*graph, from.registry->ops, options.shapes));
    enter("device");
    PLANISH_API_ASSIGN_OR_RETURN(auto device, api::find_device(options.device, options.threads));
    std::shared_ptr<backend::Device> host;
    if (device->home() != ir::MemorySpace::kHost) {
      PLANISH_API_ASSIGN_OR_RETURN(host, api::find_device("cpu", options.threads));
    }
    std::optional<ActivityWatch> watch;
    if (host) watch.emplace();  // a CPU's kernels come compiled
    device = backend::with_precision(std::move(device), api::name_of(options.precision));
    if (options.allow_libraries && !has_libraries(from.registry->kernels, device->info().kind))
      return api::to_public(invalid_argument(
          cat("option allow_libraries: device '", device->info().kind, "' has no library to allow, expected ",
              "a GPU (cuBLASLt, cuDNN)")));
    if (options.allow_libraries) device = backend::with_libraries(std::move(device), kernel::kLibrariesRace);
    compiler::CompileOptions inner = compile_options(options);
    inner.print_after = options.print_after;
    inner.print = [&](const std::string& pass, const std::string& text) {
      if (options.print) {
        options.print(pass, text);
      } else {
        std::fprintf(stderr, "-- after %s\n%s\n", pass.c_str(), text.c_str());
      }
    };
    double reached = 0;
    inner.progress = [&](const std::string& phase, int done, int total) {
      if (options.cancel.cancelled()) return false;
      if (!options.progress) return true;
      for (const PhaseShare& share : kPhases) {
        if (share.phase != phase) continue;
        const double part = total > 0 ? double(done) / total : 1;
        reached = std::max(reached, share.begin + part * (share.end - share.begin));
      }
      return options.progress({phase, reached, cat(done, " of ", total)});
    };

    inner.phases = &phases;
    compiler::NearTies near_ties;
    inner.near_ties = &near_ties;
    enter("timing cache");
    // A cache that cannot be read or written costs time, never the build.
    const auto warn = [](const std::string& message) {
      PLANISH_LOG(kWarning, "timing cache: ", message);
    };
    tuner::TimingCache cache(warn);
    std::string cache_path = options.timing_cache.value_or(default_timing_cache());
    if (options.deterministic) cache_path.clear();
    if (!cache_path.empty()) {
      if (const planish::Status loaded = cache.load(cache_path); !loaded.ok())
        warn(loaded.message());
    }
    const compiler::Environment environment{from.registry->ops, from.registry->kernels, *device,
                                            &cache, host.get()};
    enter("passes");
    // A part of a GPU's time is for whole runs.
    if (inner.time_budget_s && host) {
      const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - begin;
      *inner.time_budget_s = std::max(0.0, kStepShare * *inner.time_budget_s - spent.count());
    }
    PLANISH_API_ASSIGN_OR_RETURN(plan::Plan plan,
                                 compiler::compile(std::move(graph), inner, environment));
    PLANISH_API_RETURN_IF_ERROR(api::decide_by_whole_runs(
        plan, near_ties, {options, device, host, from.registry->kernels, cache, begin}, phases));
    enter("timing cache");
    if (!cache_path.empty()) {
      if (const planish::Status saved = cache.save(cache_path); !saved.ok()) warn(saved.message());
    }
    enter("encode");
    if (options.packed_weights) {
      PLANISH_API_RETURN_IF_ERROR(pack_weights(plan, device, host, from.registry->kernels));
    }
    plan.planish_version = version();
    plan.options["precision"] = api::name_of(options.precision);
    plan.options["io_precision"] = api::name_of(options.io_precision);
    plan.plugins = plugins_of(plan.program, *from.registry);
    plan.libraries = api::libraries_of(plan.program, from.registry->kernels);
    auto impl = std::make_shared<Plan::Impl>();
    PLANISH_API_ASSIGN_OR_RETURN(impl->file, plan::EncodedPlan::create(std::move(plan)));
    if (options.progress) options.progress({"write", 1.0, ""});
    phase.reset();
    for (const auto& [name, seconds] : phases.list()) impl->phases.push_back({name, seconds});
    return Plan(std::shared_ptr<const Plan::Impl>(std::move(impl)));
  });
}

}  // namespace

Result<Plan> build(const Network& network, const BuildOptions& options) {
  const Network::Impl& from = network.impl();
  return build_graph(from, [&] { return from.graph->clone(); }, options);
}

Result<Plan> build(Network&& network, const BuildOptions& options) {
  Network taken = std::move(network);
  Network::Impl& from = taken.impl();
  return build_graph(from, [&] { return std::move(from.graph); }, options);
}

Status open_device(const std::string& device) {
  return api::guarded([&]() -> Status {
    PLANISH_API_ASSIGN_OR_RETURN(const auto opened, api::find_device(device, 0));
    if (opened->home() == ir::MemorySpace::kHost) return Status();
    return api::to_public(opened->create_stream().status());  // makes the GPU's context
  });
}

std::future<Status> open_device_async(const std::string& device) {
  const auto open = [device] { return open_device(device); };
  try {
    return std::async(std::launch::async, open);
  } catch (const std::system_error&) {
    return std::async(std::launch::deferred, open);
  }
}

std::vector<std::string> pass_names() {
  std::vector<std::string> names;
  for (const passes::Pass& pass : passes::all_passes()) names.emplace_back(pass.name);
  return names;
}

std::string default_timing_cache() { return tuner::TimingCache::default_path(); }

}  // namespace planish::v1
