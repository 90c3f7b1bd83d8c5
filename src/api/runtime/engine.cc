// The public Engine over runtime::Engine.
#include "planish/engine.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <thread>

#include "api/runtime/convert.h"
#include "api/runtime/engine_impl.h"
#include "api/runtime/host_device.h"
#include "backend/api/device_with_info.h"
#include "base/log.h"
#include "base/text.h"
#include "opdef/check_problem.h"
#include "plan/format.h"
#include "plan/plan_file.h"
#include "runtime/respecialize.h"

namespace planish::api {
namespace {

planish::Status check_plugins(const plan::Plan& plan, const Registry& registry) {
  for (const std::string& needed : plan.plugins) {
    bool found = false;
    for (const auto& plugin : registry.plugins) found |= plugin->identity == needed;
    if (!found) {
      return planish::Status(planish::Code::kIncompatible,
                             cat("the plan needs plugin '", needed, "', which is not loaded"));
    }
  }
  return ok_status();
}

v1::StepDesc describe_step(const plan::Step& step) {
  return {step.kernel,  step.tactic.to_string(), kernel::describe(step.problem),
          step.sources, step.reference,          step.expected_us,
          step.launch.stream};
}

// The caller's device memory, or as much of the device's own as he allows.
backend::MemorySource memory_source(const v1::EngineOptions& options) {
  constexpr size_t kAlignment = 256;
  backend::MemorySource source;
  source.max_bytes = options.max_device_memory_bytes;
  if (!options.device_allocator) return source;
  const v1::HostAllocator own = *options.device_allocator;
  source.allocate = [own](int64_t bytes) {
    return own.allocate(own.user, size_t(bytes), kAlignment);
  };
  if (own.deallocate)
    source.release = [own](void* data, int64_t bytes) {
      own.deallocate(own.user, data, size_t(bytes));
    };
  return source;
}

int find(const std::vector<v1::TensorDesc>& descs, const std::string& name) {
  for (size_t i = 0; i < descs.size(); ++i)
    if (descs[i].name == name) return int(i);
  return -1;
}

}  // namespace

v1::Result<v1::Engine> make_engine(plan::Plan plan, const v1::EngineOptions& options) {
  if (options.instance_cache < 1) {
    return v1::Status(v1::Code::kInvalidArgument,
                      cat("instance_cache: got ", options.instance_cache, ", expected at least 1"));
  }
  if ((options.allocator && !options.allocator->allocate) ||
      (options.device_allocator && !options.device_allocator->allocate))
    return v1::Status(v1::Code::kInvalidArgument, "the host's allocator has no allocate function");
  if (options.max_device_memory_bytes < 0)
    return v1::Status(v1::Code::kInvalidArgument,
                      cat("max_device_memory_bytes: got ", options.max_device_memory_bytes,
                          ", expected 0 (none) or more"));
  auto impl = std::make_shared<v1::Engine::Impl>();
  impl->registry = current_registry();
  PLANISH_API_RETURN_IF_ERROR(check_plugins(plan, *impl->registry));
  PLANISH_API_RETURN_IF_ERROR(check_libraries(plan.program, impl->registry->kernels));
  const std::string wanted = options.device.empty() ? plan.program.device_kind : options.device;
  if (wanted.substr(0, wanted.find(':')) != plan.program.device_kind) {
    return v1::Status(v1::Code::kIncompatible,
                      cat("the plan was built for device '", plan.program.device_kind,
                          "', asked for '", wanted, "'"));
  }
  const bool on_cpu = plan.program.device_kind == "cpu";
  PLANISH_API_ASSIGN_OR_RETURN(auto device, find_device(wanted, options.threads));
  // As many as the plan was tuned for, where there are that many cores.
  if (const int tuned = plan.program.threads;
      on_cpu && !options.threads && tuned > 0 && tuned < device->info().threads) {
    PLANISH_API_ASSIGN_OR_RETURN(device, find_device(wanted, tuned));
  }
  if (!on_cpu && (options.device_allocator || options.max_device_memory_bytes > 0)) {
    PLANISH_API_ASSIGN_OR_RETURN(device, device->with_memory(memory_source(options)));
  }
  if (const auto precision = plan.options.find("precision"); precision != plan.options.end())
    device = backend::with_precision(std::move(device), precision->second);
  if (calls_libraries(plan.program, impl->registry->kernels))
    device = backend::with_libraries(std::move(device), kernel::kLibrariesLoad);
  if (options.allocator) device = with_host_allocator(std::move(device), *options.allocator);
  runtime::EngineOptions runtime_options;
  runtime_options.check_problem = [registry = impl->registry](const kernel::Problem& problem) {
    return opdef::check_problem(registry->ops, problem);
  };
  PLANISH_API_ASSIGN_OR_RETURN(
      runtime_options.changes,
      runtime::respecialize(plan.program, impl->registry->kernels, device->info(),
                            runtime_options.check_problem, example_dims(plan.program)));
  if (!runtime_options.changes.empty())
    PLANISH_LOG(kWarning, runtime_options.changes, "; they are compiled at load");

  for (const int v : plan.program.inputs) {
    const plan::ProgramValue& value = plan.program.values[size_t(v)];
    impl->inputs.push_back(describe(value.name, value.type));
  }
  for (size_t i = 0; i < plan.program.outputs.size(); ++i) {
    const plan::ProgramValue& value = plan.program.values[size_t(plan.program.outputs[i])];
    impl->outputs.push_back(describe(plan.program.output_names[i], value.type));
  }
  impl->metadata = plan.metadata;
  impl->metadata["planish.version"] = plan.planish_version;
  impl->metadata["planish.device"] = plan.program.device_name;
  impl->metadata["planish.isa"] = plan.program.isa;
  impl->metadata["planish.threads"] = std::to_string(plan.program.threads);
  for (const plan::Step& step : plan.program.steps) impl->steps.push_back(describe_step(step));

  runtime_options.instance_cache = options.instance_cache;
  runtime_options.max_memory = options.max_memory_bytes;
  if (!on_cpu) {
    PLANISH_API_ASSIGN_OR_RETURN(runtime_options.host, find_device("cpu", options.threads));
  }
  PLANISH_API_ASSIGN_OR_RETURN(
      impl->engine, runtime::Engine::create(std::move(plan), std::move(device),
                                            impl->registry->kernels, runtime_options));
  return v1::Engine(std::shared_ptr<const v1::Engine::Impl>(std::move(impl)));
}

std::vector<std::vector<int64_t>> example_dims(
    const plan::Program& program, size_t profile_number,
    std::vector<int64_t> plan::ProfileInput::*which) {
  // Symbols of inputs that are plain symbols; derived dims follow by evaluation.
  std::map<std::string, int64_t, std::less<>> binding;
  for (const int v : program.inputs) {
    const plan::ProgramValue& value = program.values[size_t(v)];
    const plan::ProfileInput* profile = nullptr;
    if (profile_number < program.profiles.size()) {
      for (const plan::ProfileInput& input : program.profiles[profile_number])
        if (input.input == value.name) profile = &input;
    }
    for (size_t axis = 0; axis < value.type.shape.size(); ++axis) {
      const std::string symbol = value.type.shape[axis].symbol_name();
      if (symbol.empty() || binding.count(symbol)) continue;
      int64_t size = axis == 0 ? 1 : 64;
      if (const auto found = program.symbols.find(symbol); found != program.symbols.end()) {
        size = std::max(size, found->second.low);
        if (found->second.high) size = std::min(size, *found->second.high);
      }
      if (profile && axis < (profile->*which).size()) size = (profile->*which)[axis];
      binding[symbol] = size;
    }
  }
  const auto lookup = [&](std::string_view symbol) -> std::optional<int64_t> {
    const auto found = binding.find(symbol);
    return found == binding.end() ? std::nullopt : std::optional<int64_t>(found->second);
  };
  std::vector<std::vector<int64_t>> dims;
  for (const int v : program.inputs) {
    std::vector<int64_t>& one = dims.emplace_back();
    for (const ir::Dim& dim : program.values[size_t(v)].type.shape)
      one.push_back(dim.evaluate(lookup).value_or(1));
  }
  return dims;
}

}  // namespace planish::api

namespace planish::v1 {

namespace {

plan::ReadOptions read_options(const EngineOptions& options) {
  plan::ReadOptions out;
  out.threads = int(std::thread::hardware_concurrency());
  if (options.threads > 0) out.threads = std::min(out.threads, options.threads);
  return out;
}

}  // namespace

Result<Engine> Engine::load(const std::string& path, const EngineOptions& options) {
  return api::guarded([&]() -> Result<Engine> {
    if (options.max_plan_bytes > 0) {
      std::error_code error;
      const auto bytes = std::filesystem::file_size(path, error);
      if (!error && int64_t(bytes) > options.max_plan_bytes) {
        return Status(Code::kResourceExhausted,
                      cat(path, ": ", int64_t(bytes), " bytes, above max_plan_bytes = ",
                          options.max_plan_bytes));
      }
    }
    PLANISH_API_ASSIGN_OR_RETURN(plan::Plan plan, plan::read_plan(path, read_options(options)));
    auto engine = api::make_engine(std::move(plan), options);
    if (!engine.ok()) return engine.status().at(path);
    return engine;
  });
}

Result<Engine> Engine::load(const void* data, size_t bytes, const EngineOptions& options) {
  return api::guarded([&]() -> Result<Engine> {
    if (!data) return Status(Code::kInvalidArgument, "the plan's data is null");
    if (options.max_plan_bytes > 0 && int64_t(bytes) > options.max_plan_bytes) {
      return Status(Code::kResourceExhausted, cat("plan of ", bytes, " bytes, above max_plan_bytes = ",
                                                  options.max_plan_bytes));
    }
    PLANISH_API_ASSIGN_OR_RETURN(
        plan::Plan plan,
        plan::read_plan(std::span(static_cast<const std::byte*>(data), bytes), nullptr,
                        read_options(options)));
    return api::make_engine(std::move(plan), options);
  });
}

bool is_plan_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  char begin[plan::kMagic.size()] = {};
  in.read(begin, sizeof(begin));
  return in && std::string_view(begin, sizeof(begin)) == plan::kMagic;
}

const std::vector<TensorDesc>& Engine::inputs() const { return impl_->inputs; }
const std::vector<TensorDesc>& Engine::outputs() const { return impl_->outputs; }
int Engine::input_index(const std::string& name) const { return api::find(impl_->inputs, name); }
int Engine::output_index(const std::string& name) const { return api::find(impl_->outputs, name); }
const std::map<std::string, std::string>& Engine::metadata() const { return impl_->metadata; }
const std::vector<StepDesc>& Engine::steps() const { return impl_->steps; }

DeviceDesc Engine::device() const {
  const kernel::DeviceInfo& info = impl_->engine->device().info();
  return {info.kind, info.name, info.isa, api::index_of(info), info.threads, true, ""};
}
int Engine::threads() const { return impl_->engine->device().info().threads; }

Result<DeviceState> Engine::device_state() const {
  return api::guarded([&]() -> Result<DeviceState> {
    PLANISH_API_ASSIGN_OR_RETURN(const auto state, impl_->engine->device().state());
    return DeviceState{state.clock_mhz, state.memory_clock_mhz, state.power_watts,
                       state.temperature_c};
  });
}

Result<std::shared_ptr<void>> Engine::allocate(int64_t bytes, MemorySpace space) const {
  return api::guarded([&]() -> Result<std::shared_ptr<void>> {
    if (bytes < 0)
      return Status(Code::kInvalidArgument, cat("cannot allocate ", bytes, " bytes"));
    backend::Device& device = impl_->engine->device();
    if (space == MemorySpace::kDevice && device.home() == ir::MemorySpace::kHost)
      return Status(Code::kInvalidArgument, "device memory for device '" + device.info().kind +
                                                "', which computes in the host's");
    PLANISH_API_ASSIGN_OR_RETURN(
        auto memory, device.allocate(bytes, space == MemorySpace::kDevice
                                                ? ir::MemorySpace::kDevice
                                                : ir::MemorySpace::kHost));
    const std::shared_ptr<backend::Memory> owner = std::move(memory);
    return std::shared_ptr<void>(owner, owner->data());
  });
}

Result<MemoryReport> Engine::memory(const std::vector<std::vector<int64_t>>& input_dims) const {
  return api::guarded([&]() -> Result<MemoryReport> {
    PLANISH_API_ASSIGN_OR_RETURN(auto instance, impl_->engine->instance(input_dims));
    const runtime::Phase& phase = instance->first_phase();
    return MemoryReport{impl_->engine->weight_bytes(), impl_->engine->packed_bytes(),
                        phase.arena_bytes, phase.sum_bytes, phase.lower_bound_bytes};
  });
}

std::vector<std::vector<int64_t>> Engine::example_dims() const {
  return api::example_dims(impl_->engine->program());
}

Result<std::string> Engine::describe_json(
    const std::vector<std::vector<int64_t>>& input_dims) const {
  return api::guarded([&]() -> Result<std::string> {
    return api::to_public_result<std::string>(
        api::describe_json(*impl_->engine, input_dims.empty() ? example_dims() : input_dims));
  });
}

const std::string& Engine::report() const { return impl_->engine->plan().report; }
const std::string& Engine::decisions() const { return impl_->engine->plan().decisions; }

}  // namespace planish::v1
