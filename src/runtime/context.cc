#include "runtime/context.h"

#include <algorithm>
#include <cstring>

#include "base/text.h"
#include "kernel/control_kernel.h"
#include "kernel/launch_info.h"
#include "runtime/layout_copy.h"

namespace planish::runtime {
namespace {

using Clock = std::chrono::steady_clock;

double us_between(Clock::time_point a, Clock::time_point b) {
  return std::chrono::duration<double, std::micro>(b - a).count();
}

constexpr int64_t kTailBytes = 64;  // vector kernels may read, never write, this far past an arena
constexpr uintptr_t kDeviceAlignment = 16;  // of addresses that device kernels take
constexpr int64_t kParallelCopy = 1 << 20;  // bytes from which the team copies into pinned memory

// Marks of a timed run.
enum : size_t { kBegin, kStaged, kComputed, kDelivered, kMarks };

}  // namespace

Status RunOptions::interrupted() const {
  if (cancel && cancel->load(std::memory_order_relaxed))
    return Status(Code::kCancelled, "the run was cancelled");
  if (deadline && Clock::now() > *deadline)
    return Status(Code::kDeadlineExceeded, "the run's deadline has passed");
  return ok_status();
}

Result<std::unique_ptr<ExecutionContext>> ExecutionContext::create(
    std::shared_ptr<const Engine> engine, const ContextOptions& options) {
  // Workspaces are sized for the CPU device's threads: more of them would write past the end.
  const int most = engine->host_info().threads;
  std::shared_ptr<ThreadTeam> team;
  if (options.host) {
    HostParallelFor host = *options.host;
    host.threads = std::min(host.threads, most);
    team = std::make_shared<ThreadTeam>(host);
  } else {
    if (options.threads > most)
      return invalid_argument(cat("threads: got ", options.threads, ", expected at most ", most,
                                  ", the engine's"));
    const int threads = options.threads > 0 ? options.threads : most;
    team = std::make_shared<ThreadTeam>(threads);
  }
  PLANISH_ASSIGN_OR_RETURN(auto context, create_on(std::move(engine), std::move(team)));
  if (options.stream) {
    PLANISH_ASSIGN_OR_RETURN(context->stream_,
                             context->engine_->device().wrap_stream(options.stream));
  }
  if (const size_t steps = context->engine_->program().steps.size();
      !options.launches.empty() && options.launches.size() != steps)
    return invalid_argument(cat("launches: got ", options.launches.size(), ", expected ", steps,
                                ", one for each step"));
  context->launches_ = options.launches;
  return context;
}

Result<std::unique_ptr<ExecutionContext>> ExecutionContext::create_on(
    std::shared_ptr<const Engine> engine, std::shared_ptr<ThreadTeam> team) {
  std::unique_ptr<ExecutionContext> context(new ExecutionContext());
  context->engine_ = std::move(engine);
  context->team_ = std::move(team);
  PLANISH_ASSIGN_OR_RETURN(context->stream_, context->engine_->device().create_stream());
  context->inputs_.resize(context->engine_->program().inputs.size());
  context->outputs_.resize(context->engine_->program().outputs.size());
  return context;
}

// Memory goes back to the device's pool, where others take it at once.
ExecutionContext::~ExecutionContext() { (void)prepare_to_free(); }

// What is freed or replaced next may still be in use by what was enqueued.
Status ExecutionContext::prepare_to_free() {
  if (!stream_ || !pending_) return ok_status();
  pending_ = false;
  return stream_->synchronize();
}

Status ExecutionContext::set_input(int i, const void* data, std::vector<int64_t> dims,
                                   ir::MemorySpace space) {
  if (running_) return failed_precondition("the context is running");
  if (i < 0 || i >= int(inputs_.size()))
    return invalid_argument(cat("input ", i, " of ", inputs_.size()));
  const auto& value = engine_->program().values[size_t(engine_->program().inputs[size_t(i)])];
  const auto count = ir::checked_element_count(dims);
  if (!count)
    return invalid_argument(cat("input '", value.name, "': shape ", bracketed(dims),
                                " has a negative dim or overflows"));
  if (!data && *count > 0)
    return invalid_argument(cat("input '", value.name, "': the data pointer is null"));
  const uintptr_t element = uintptr_t(std::max(1, ir::bits_of(value.type.dtype) / 8));
  if (reinterpret_cast<uintptr_t>(data) % element)
    return invalid_argument(cat("input '", value.name, "': the data pointer is not aligned to ",
                                element, " bytes, one element"));
  InputBinding& input = inputs_[size_t(i)];
  if (data && (data != input.data || space != input.space))
    if (Status status = engine_->device().check_address(data, space); !status.ok())
      return status.at(cat("input '", value.name, "'"));
  input.data = data;
  input.dims = std::move(dims);
  input.space = space;
  input.is_set = true;
  return ok_status();
}

Status ExecutionContext::bind_output(int i, void* data, int64_t bytes, ir::MemorySpace space) {
  if (running_) return failed_precondition("the context is running");
  if (i < 0 || i >= int(outputs_.size()))
    return invalid_argument(cat("output ", i, " of ", outputs_.size()));
  if (bytes < 0) return invalid_argument(cat("output ", i, ": capacity ", bytes, " bytes"));
  OutputBinding& output = outputs_[size_t(i)];
  if (data && (data != output.user_data || space != output.user_space))
    if (Status status = engine_->device().check_address(data, space); !status.ok())
      return status.at(cat("output '", engine_->program().output_names[size_t(i)], "'"));
  output.user_data = data;
  output.user_bytes = bytes;
  output.user_space = space;
  return ok_status();
}

Status ExecutionContext::run(const RunOptions& options) {
  if (running_.exchange(true))
    return failed_precondition("the context is running; use one context per thread");
  // Whatever a library or a host's callback throws, the context can run again.
  struct Release {
    ExecutionContext& context;
    ~Release() {
      context.owned_.clear();
      context.running_ = false;
    }
  } release{*this};
  has_run_ = false;
  Status status = run_checked(options);
  has_run_ = status.ok();
  return status;
}

Status ExecutionContext::run_checked(const RunOptions& options) {
  const plan::Program& p = engine_->program();
  start_ = Clock::now();
  std::vector<std::vector<int64_t>> dims;
  for (size_t i = 0; i < inputs_.size(); ++i) {
    if (!inputs_[i].is_set)
      return failed_precondition(
          cat("input '", p.values[size_t(p.inputs[i])].name, "' is not set"));
    dims.push_back(inputs_[i].dims);
  }
  for (OutputBinding& output : outputs_) output.known = false;
  PLANISH_ASSIGN_OR_RETURN(auto instance, engine_->instance(dims));
  if (instance != instance_) PLANISH_RETURN_IF_ERROR(prepare_to_free());
  instance_ = std::move(instance);
  const Clock::time_point enqueue = Clock::now();
  PLANISH_RETURN_IF_ERROR(mark(kBegin, options));
  PLANISH_RETURN_IF_ERROR(stage_inputs());
  PLANISH_RETURN_IF_ERROR(mark(kStaged, options));
  Binding binding = instance_->binding();
  std::shared_ptr<const Phase> phase = instance_->first_phase_shared();
  const int repeats = engine_->is_last(*phase) ? std::max(1, options.compute_repeats) : 1;
  for (int i = 1; i < repeats; ++i) PLANISH_RETURN_IF_ERROR(run_phase(phase, binding, options));
  for (;;) {
    PLANISH_RETURN_IF_ERROR(run_phase(phase, binding, options));
    if (engine_->is_last(*phase)) break;
    PLANISH_ASSIGN_OR_RETURN(phase, instance_->later_phase(*phase, binding));
  }
  PLANISH_RETURN_IF_ERROR(mark(kComputed, options));
  PLANISH_RETURN_IF_ERROR(deliver_outputs(*phase, binding));
  PLANISH_RETURN_IF_ERROR(mark(kDelivered, options));
  if (options.times) options.times->enqueue_us = us_between(enqueue, Clock::now());
  if (!options.wait && !options.times && stays_on_device()) return ok_status();
  PLANISH_RETURN_IF_ERROR(finish_enqueued());
  PLANISH_RETURN_IF_ERROR(read_times(options));
  if (options.times) options.times->compute_us /= repeats;
  return ok_status();
}

Status ExecutionContext::mark(size_t event, const RunOptions& options) {
  backend::Device& device = engine_->device();
  if (!options.times || device.home() == ir::MemorySpace::kHost) return ok_status();
  if (events_.empty()) {
    events_.resize(kMarks);
    for (auto& one : events_) {
      PLANISH_ASSIGN_OR_RETURN(one, device.create_event());
    }
  }
  return stream_->record(*events_[event]);
}

Status ExecutionContext::read_times(const RunOptions& options) const {
  if (!options.times || events_.empty()) return ok_status();
  PLANISH_ASSIGN_OR_RETURN(options.times->h2d_us, events_[kStaged]->us_since(*events_[kBegin]));
  PLANISH_ASSIGN_OR_RETURN(options.times->compute_us,
                           events_[kComputed]->us_since(*events_[kStaged]));
  PLANISH_ASSIGN_OR_RETURN(options.times->d2h_us,
                           events_[kDelivered]->us_since(*events_[kComputed]));
  return ok_status();
}

Status ExecutionContext::stage_inputs() {
  const plan::Program& p = engine_->program();
  for (size_t i = 0; i < inputs_.size(); ++i) {
    InputBinding& input = inputs_[i];
    const ir::TensorType& type = p.values[size_t(p.inputs[i])].type;
    input.place = input.data;
    const bool aligned = type.space == ir::MemorySpace::kHost ||
                         reinterpret_cast<uintptr_t>(input.data) % kDeviceAlignment == 0;
    if (input.space != type.space || !aligned) PLANISH_RETURN_IF_ERROR(stage_input(input, type));
  }
  return ok_status();
}

// Into memory of the program's space; pageable memory goes through pinned memory of our own.
Status ExecutionContext::stage_input(InputBinding& input, const ir::TensorType& type) {
  backend::Device& device = engine_->device();
  const int64_t bytes = ir::bytes_of(type.dtype, ir::element_count(input.dims));
  const auto grow = [&](std::unique_ptr<backend::Memory>& memory,
                        ir::MemorySpace space) -> Status {
    if (memory && memory->bytes() >= bytes) return ok_status();
    if (memory) PLANISH_RETURN_IF_ERROR(prepare_to_free());
    memory.reset();
    PLANISH_ASSIGN_OR_RETURN(memory, device.allocate(bytes + kTailBytes, space));
    return ok_status();
  };
  PLANISH_RETURN_IF_ERROR(grow(input.staging, type.space));
  const void* from = input.data;
  if (input.space == ir::MemorySpace::kHost && type.space == ir::MemorySpace::kDevice) {
    PLANISH_RETURN_IF_ERROR(grow(input.pinned, ir::MemorySpace::kPinned));
    std::byte* to = input.pinned->data();
    const auto* data = static_cast<const std::byte*>(input.data);
    const int64_t pieces = (bytes + kParallelCopy - 1) / kParallelCopy;
    team_->parallel_for(pieces, [&](int64_t begin, int64_t end, int) {
      const int64_t at = begin * kParallelCopy;
      std::memcpy(to + at, data + at, size_t(std::min(end * kParallelCopy, bytes) - at));
    });
    from = to;
  }
  PLANISH_RETURN_IF_ERROR(device.copy(*stream_, input.staging->data(), type.space, from,
                                      input.space, bytes));
  pending_ = true;
  if (type.space == ir::MemorySpace::kHost) {
    PLANISH_RETURN_IF_ERROR(stream_->synchronize());
    pending_ = false;
  }
  input.place = input.staging->data();
  return ok_status();
}

Status ExecutionContext::prepare_arena(std::vector<std::unique_ptr<backend::Memory>>& arenas,
                                       int phase, int64_t bytes, ir::MemorySpace space) {
  if (int(arenas.size()) <= phase) arenas.resize(size_t(phase) + 1);
  auto& arena = arenas[size_t(phase)];
  if (arena && arena->bytes() >= bytes + kTailBytes) return ok_status();
  if (arena) {
    PLANISH_RETURN_IF_ERROR(prepare_to_free());
    captures_.clear();  // they hold its address
  }
  arena.reset();
  PLANISH_ASSIGN_OR_RETURN(arena, engine_->device().allocate(bytes + kTailBytes, space));
  return ok_status();
}

Status ExecutionContext::prepare_output(int k, const Binding& binding) {
  OutputBinding& output = outputs_[size_t(k)];
  if (output.known) return ok_status();
  const plan::Program& p = engine_->program();
  const int v = p.outputs[size_t(k)];
  auto dims = engine_->dims_of(v, binding);
  // Dims that no symbol names alone are what the step that allocated the value gave.
  if (auto owned = owned_.find(v); !dims && owned != owned_.end()) dims = owned->second.dims();
  if (!dims) return data_loss(cat("output '", p.output_names[size_t(k)], "' has unknown dims"));
  output.dims = *dims;
  const ir::DataType dtype = p.values[size_t(v)].type.dtype;
  const int64_t bytes = ir::bytes_of(dtype, ir::element_count(*dims));
  const ir::MemorySpace space = p.values[size_t(v)].type.space;
  output.data = nullptr;
  output.bound = ir::MemorySpace::kHost;
  if (output.user_data) {
    if (output.user_bytes < bytes)
      return invalid_argument(cat("output '", p.output_names[size_t(k)], "' of shape ",
                                  bracketed(*dims), " takes ", bytes, " bytes, the bound buffer has ",
                                  output.user_bytes));
    for (size_t i = 0; i < inputs_.size(); ++i) {
      const auto* begin = static_cast<const std::byte*>(inputs_[i].data);
      const int64_t input_bytes = ir::bytes_of(p.values[size_t(p.inputs[i])].type.dtype,
                                               ir::element_count(inputs_[i].dims));
      const auto* out = static_cast<const std::byte*>(output.user_data);
      if (out < begin + input_bytes && begin < out + bytes)
        return invalid_argument(cat("output '", p.output_names[size_t(k)],
                                    "' overlaps input '", p.values[size_t(p.inputs[i])].name, "'"));
    }
    output.data = output.user_data;
    output.bound = output.user_space;
  } else if (allocator_) {
    output.data = allocator_(k, bytes);
    if (output.data) output.bound = allocator_space_;
  }
  if (!output.data) {
    if (!output.owned || output.owned->bytes() < bytes + kTailBytes) {
      PLANISH_ASSIGN_OR_RETURN(
          output.owned,
          engine_->device().allocate(bytes + kTailBytes, space == ir::MemorySpace::kHost
                                                             ? ir::MemorySpace::kHost
                                                             : ir::MemorySpace::kPinned));
    }
    output.data = output.owned->data();
  }
  output.place = output.data;
  const bool on_device = space == ir::MemorySpace::kDevice;
  if (on_device != (output.bound == ir::MemorySpace::kDevice) ||
      (on_device && reinterpret_cast<uintptr_t>(output.data) % kDeviceAlignment)) {
    if (!output.staging || output.staging->bytes() < bytes + kTailBytes) {
      if (output.staging) PLANISH_RETURN_IF_ERROR(prepare_to_free());
      output.staging.reset();
      PLANISH_ASSIGN_OR_RETURN(output.staging,
                               engine_->device().allocate(bytes + kTailBytes, space));
    }
    output.place = output.staging->data();
  }
  output.known = true;
  return ok_status();
}

kernel::BufferRef ExecutionContext::resolve(const Slot& slot) const {
  std::byte* base = nullptr;
  switch (slot.where) {
    case Slot::Where::kAbsent: return {};
    case Slot::Where::kArena: base = arenas_[size_t(slot.index)]->data(); break;
    case Slot::Where::kHostArena: base = host_arenas_[size_t(slot.index)]->data(); break;
    case Slot::Where::kInput:
      base = static_cast<std::byte*>(const_cast<void*>(inputs_[size_t(slot.index)].place));
      break;
    case Slot::Where::kOutput:
      base = static_cast<std::byte*>(outputs_[size_t(slot.index)].place);
      break;
    case Slot::Where::kConstant:
      base = static_cast<std::byte*>(const_cast<void*>(engine_->constant_data(slot.index)));
      break;
    case Slot::Where::kDeviceConstant:
      base = static_cast<std::byte*>(
          const_cast<void*>(engine_->device_constant_data(slot.index)));
      if (!base) return {};  // packed away
      break;
    case Slot::Where::kOwned:
      base = static_cast<std::byte*>(const_cast<void*>(owned_.at(slot.index).data()));
      break;
  }
  return {base + slot.offset_bytes, slot.outer_stride_bytes};
}

Status ExecutionContext::run_phase(const std::shared_ptr<const Phase>& shared, Binding& binding,
                                   const RunOptions& options) {
  const Phase& phase = *shared;
  const ir::MemorySpace home = engine_->device().home();
  PLANISH_RETURN_IF_ERROR(prepare_arena(arenas_, phase.index, phase.arena_bytes, home));
  if (home != ir::MemorySpace::kHost)
    PLANISH_RETURN_IF_ERROR(prepare_arena(host_arenas_, phase.index, phase.host_arena_bytes,
                                          ir::MemorySpace::kPinned));
  for (int k : phase.new_outputs) PLANISH_RETURN_IF_ERROR(prepare_output(k, binding));
  const bool captures = stream_->can_capture() && !options.observer && !options.profiler;
  for (size_t s = 0; s < phase.steps.size(); ++s) {
    PLANISH_RETURN_IF_ERROR(options.interrupted());
    const BoundStep& bound = phase.steps[s];
    if (captures && bound.capturable) {
      size_t end = s + 1;
      while (end < phase.steps.size() && phase.steps[end].capturable) ++end;
      PLANISH_RETURN_IF_ERROR(run_captured(shared, s, end, binding, options));
      s = end - 1;
      continue;
    }
    const Clock::time_point before = options.profiler ? Clock::now() : Clock::time_point();
    const int number = phase.first_step + int(s);
    Status status = run_step(bound, phase, binding, options, {stream_->handle()});
    if (status.ok() && options.profiler) {
      status = stream_->synchronize();
      pending_ = false;
    }
    if (!status.ok()) return status.at(describe_steps(number, number + 1));
    if (options.profiler) {
      double us = us_between(before, Clock::now());
      if (bound.capturable && stream_->can_capture()) {
        PLANISH_ASSIGN_OR_RETURN(us, replayed_us(bound, phase));
      }
      options.profiler({number, us_between(start_, before), us});
    }
    if (!options.observer) continue;
    for (size_t i = 0; i < bound.step->results.size(); ++i) {
      const int v = bound.step->results[i];
      const Slot slot = bound.step->binds_symbols ? Slot{Slot::Where::kOwned, v} : bound.results[i];
      PLANISH_ASSIGN_OR_RETURN(ir::Tensor tensor, read_value(v, slot, binding));
      options.observer(v, tensor);
    }
  }
  return ok_status();
}

Status ExecutionContext::run_step(const BoundStep& bound, const Phase& phase, Binding& binding,
                                  const RunOptions& options, const Start& start) {
  const bool on_device = engine_->device().home() != ir::MemorySpace::kHost;
  if (on_device && bound.on_host && pending_) {
    PLANISH_RETURN_IF_ERROR(stream_->synchronize());
    pending_ = false;
  }
  if (on_device && !bound.on_host) pending_ = true;
  operand_refs_.clear();
  for (const Slot& slot : bound.operands) operand_refs_.push_back(resolve(slot));
  kernel::RunArgs args;
  args.operands = operand_refs_;
  const auto& arenas = on_device && bound.on_host ? host_arenas_ : arenas_;
  args.workspace = arenas[size_t(phase.index)]->data() + bound.workspace_offset;
  args.team = team_.get();
  args.stream = start.stream;
  const kernel::ControlLaunchable* control = nullptr;
  kernel::BodyRunner run_one;
  if (!bound.step->bodies.empty()) {
    control = dynamic_cast<const kernel::ControlLaunchable*>(bound.launchable.get());
    run_one = [&, number = int(bound.step - engine_->program().steps.data())](
                  std::string_view key, std::span<const ir::Tensor> inputs) {
      return run_body(number, key, inputs, options);
    };
  }
  if (bound.step->binds_symbols) {
    PLANISH_ASSIGN_OR_RETURN(auto results, control
                                               ? control->run_bodies_allocating(args, run_one)
                                               : bound.launchable->run_allocating(args));
    return bind_results(*bound.step, std::move(results), binding);
  }
  result_refs_.clear();
  for (const Slot& slot : bound.results) result_refs_.push_back(resolve(slot));
  args.results = result_refs_;
  if (start.after_end)
    if (const auto* described =
            dynamic_cast<const kernel::DescribedLaunchable*>(bound.launchable.get()))
      return described->run_after_end(args);
  return control ? control->run_bodies(args, run_one) : bound.launchable->run(args);
}

Status ExecutionContext::bind_results(const plan::Step& step, std::vector<ir::Tensor> results,
                                      Binding& binding) {
  const plan::Program& p = engine_->program();
  for (size_t i = 0; i < results.size(); ++i) {
    const ir::TensorType& type = p.values[size_t(step.results[i])].type;
    if (results[i].rank() != type.rank() || results[i].dtype() != type.dtype)
      return data_loss(cat("result ", i, " is ", ir::to_string(results[i].type()),
                                ", planned ", ir::to_string(type)));
    for (int d = 0; d < results[i].rank(); ++d) {
      const ir::Dim& dim = type.shape[size_t(d)];
      const std::string symbol = dim.symbol_name();
      if (!symbol.empty()) {
        auto [it, fresh] = binding.emplace(symbol, results[i].dim(d));
        if (!fresh && it->second != results[i].dim(d))
          return invalid_argument(cat("dim ", symbol, " is ", it->second, " and ",
                                      results[i].dim(d), " at once"));
      }
    }
  }
  // With all symbols known, every dim must be what later steps will take it for.
  for (size_t i = 0; i < results.size(); ++i) {
    const auto planned = engine_->dims_of(step.results[i], binding);
    if (!planned || *planned != results[i].dims())
      return data_loss(cat("result ", i, " has shape ", bracketed(results[i].dims()), ", planned ",
                           ir::to_string(p.values[size_t(step.results[i])].type.shape)));
    owned_[step.results[i]] = std::move(results[i]);
  }
  return ok_status();
}

Result<ir::Tensor> ExecutionContext::read_value(int value, const Slot& slot,
                                                const Binding& binding) const {
  if (auto owned = owned_.find(value); owned != owned_.end()) return owned->second;
  const ir::TensorType& type = engine_->program().values[size_t(value)].type;
  const auto dims = engine_->dims_of(value, binding);
  if (!dims) return data_loss("a value that was computed has unknown dims");
  if (pending_) PLANISH_RETURN_IF_ERROR(stream_->synchronize());
  const kernel::BufferRef ref = resolve(slot);
  ir::Tensor out(type.dtype, *dims);
  const int bits = ir::bits_of(type.dtype);
  if (bits < 8 || (type.space != ir::MemorySpace::kHost && type.layout.is_row_major())) {
    PLANISH_RETURN_IF_ERROR(engine_->device().copy(*stream_, out.mutable_data(),
                                                   ir::MemorySpace::kHost, ref.data, type.space,
                                                   out.bytes()));
    PLANISH_RETURN_IF_ERROR(stream_->synchronize());
    return out;
  }
  const auto* from = static_cast<const std::byte*>(ref.data);
  std::vector<std::byte> staged;
  if (type.space != ir::MemorySpace::kHost) {
    staged.resize(size_t(ir::physical_element_count(*dims, type.layout)) * size_t(bits / 8));
    PLANISH_RETURN_IF_ERROR(engine_->device().copy(*stream_, staged.data(), ir::MemorySpace::kHost,
                                                   ref.data, type.space, int64_t(staged.size())));
    PLANISH_RETURN_IF_ERROR(stream_->synchronize());
    from = staged.data();
  }
  copy_to_row_major(from, type.layout, ref.outer_stride_bytes,
                    static_cast<std::byte*>(out.mutable_data()), *dims, bits / 8);
  return out;
}

Status ExecutionContext::deliver_outputs(const Phase& last, const Binding& binding) {
  const plan::Program& p = engine_->program();
  for (size_t k = 0; k < outputs_.size(); ++k) {
    const int v = p.outputs[k];
    const Slot& place = last.places[size_t(v)];
    const bool in_place = place.where == Slot::Where::kOutput && place.index == int(k);
    PLANISH_RETURN_IF_ERROR(prepare_output(int(k), binding));
    // The view of an output may have other dims than its root.
    const auto dims = engine_->dims_of(v, binding);
    if (dims) outputs_[k].dims = *dims;
    const OutputBinding& output = outputs_[k];
    if (in_place && output.data == output.place) continue;
    const ir::MemorySpace to = output.bound;
    const ir::TensorType& type = p.values[size_t(v)].type;
    if (in_place) {
      PLANISH_RETURN_IF_ERROR(
          engine_->device().copy(*stream_, output.data, to, output.place, type.space,
                                 ir::bytes_of(type.dtype, ir::element_count(output.dims))));
      continue;
    }
    if (place.where == Slot::Where::kAbsent)
      return data_loss(cat("output '", p.output_names[k], "' is nothing that a step computed"));
    PLANISH_ASSIGN_OR_RETURN(ir::Tensor tensor, read_value(v, place, binding));
    PLANISH_RETURN_IF_ERROR(engine_->device().copy(*stream_, output.data, to, tensor.data(),
                                                   ir::MemorySpace::kHost, tensor.bytes()));
    if (to != ir::MemorySpace::kHost) PLANISH_RETURN_IF_ERROR(stream_->synchronize());
  }
  return ok_status();
}

Result<ir::Tensor> ExecutionContext::output(int i) const {
  if (!has_run_) return failed_precondition("no run has ended well on this context");
  if (i < 0 || i >= int(outputs_.size()))
    return invalid_argument(cat("output ", i, " of ", outputs_.size()));
  const plan::Program& p = engine_->program();
  const OutputBinding& output = outputs_[size_t(i)];
  return ir::Tensor::view(p.values[size_t(p.outputs[size_t(i)])].type.dtype, output.dims,
                          output.data, nullptr);
}

int64_t ExecutionContext::arena_bytes() const {
  int64_t total = 0;
  for (const auto& arena : arenas_) total += arena ? arena->bytes() : 0;
  for (const auto& [step, body] : bodies_) total += body->arena_bytes();
  return total;
}

}  // namespace planish::runtime
