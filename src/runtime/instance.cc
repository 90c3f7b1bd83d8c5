// Binding a phase: concrete shapes for its steps, kernels bound, memory planned.
#include <algorithm>
#include <atomic>
#include <thread>

#include "base/text.h"
#include "kernel/cost.h"
#include "kernel/strided.h"
#include "kernel/supported.h"
#include "memplan/memplan.h"
#include "plan/views.h"
#include "runtime/engine.h"

namespace planish::runtime {
namespace {

// Of values in an arena: a cache line; what TMA and 128-bit loads like.
constexpr int64_t kHostAlignment = 64, kDeviceAlignment = 256;

int64_t physical_bytes(const ir::TensorType& type, std::span<const int64_t> dims) {
  return ir::bytes_of(type.dtype, ir::physical_element_count(dims, type.layout));
}

constexpr int64_t kMaxBytes = int64_t(1) << 46;  // of one value or workspace: beyond any memory

ir::Dim::Lookup lookup_in(const Binding& binding) {
  return [&binding](std::string_view name) -> std::optional<int64_t> {
    auto found = binding.find(name);
    return found == binding.end() ? std::nullopt : std::optional<int64_t>(found->second);
  };
}

bool is_on_device(const plan::Program& p, const plan::Step& step) {
  const auto on_device = [&](int v) {
    return v < 0 || p.values[size_t(v)].type.space == ir::MemorySpace::kDevice;
  };
  return std::all_of(step.operands.begin(), step.operands.end(), on_device) &&
         std::all_of(step.results.begin(), step.results.end(), on_device);
}

// The values whose place a phase may settle: all in the first, then what its steps touch, and the
// outputs. A program may have a hundred phases: none may cost as much as the whole.
std::vector<int> values_of(const plan::Program& p, const Phase& phase) {
  std::vector<int> values;
  if (phase.index == 0) {
    values.resize(p.values.size());
    for (size_t i = 0; i < values.size(); ++i) values[i] = int(i);
    return values;
  }
  for (int s = phase.first_step; s < phase.end_step; ++s)
    for (const std::vector<int>* touched : {&p.steps[size_t(s)].operands, &p.steps[size_t(s)].results})
      for (const int v : *touched)
        if (v >= 0) values.push_back(v);
  values.insert(values.end(), p.outputs.begin(), p.outputs.end());
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

// What every kernel comes down to when there is nothing to write: a batch of 0.
class Nothing : public kernel::Launchable {
 public:
  Status run(const kernel::RunArgs&) const override { return ok_status(); }
};

}  // namespace

Result<std::shared_ptr<const Phase>> Engine::bind_phase(const Phase* previous,
                                                        const Binding& binding) const {
  const plan::Program& p = plan_.program;
  auto phase = std::make_shared<Phase>();
  phase->index = previous ? previous->index + 1 : 0;
  phase->first_step = previous ? previous->end_step : 0;
  phase->end_step = phase->first_step;
  while (phase->end_step < int(p.steps.size()))
    if (p.steps[size_t(phase->end_step++)].binds_symbols) break;
  if (previous) {
    phase->places = previous->places;
  } else {
    phase->places.resize(p.values.size());
    for (size_t i = 0; i < p.inputs.size(); ++i)
      phase->places[size_t(p.inputs[i])] = {Slot::Where::kInput, int(i)};
    for (size_t v = 0; v < p.values.size(); ++v)
      if (p.values[v].kind == plan::ValueKind::kConstant)
        phase->places[v] = {p.values[v].type.space == ir::MemorySpace::kHost
                                ? Slot::Where::kConstant
                                : Slot::Where::kDeviceConstant,
                            p.values[v].constant};
  }
  // A program that holds for symbols may still be nonsense for these dims.
  const std::vector<int> values = values_of(p, *phase);
  if (Status fits = plan::verify_bound(p, lookup_in(binding), values); !fits.ok())
    return invalid_argument(cat("the plan does not take these input shapes: ", fits.message()));
  phase->steps.resize(size_t(phase->end_step - phase->first_step));
  PLANISH_RETURN_IF_ERROR(bind_steps(*phase, binding));
  PLANISH_RETURN_IF_ERROR(plan_memory(*phase, values, binding));
  if (options_.max_memory > 0 && phase->arena_bytes > options_.max_memory)
    return resource_exhausted(cat("the arena for these shapes takes ", phase->arena_bytes,
                                  " bytes, max_memory is ", options_.max_memory));
  return std::shared_ptr<const Phase>(phase);
}

// A device's kernels may have to be compiled for shapes that the plan has none for: on all cores.
Status Engine::bind_steps(Phase& phase, const Binding& binding) const {
  const plan::Program& p = plan_.program;
  const bool parallel = device_->home() != ir::MemorySpace::kHost && phase.steps.size() > 1;
  const size_t cores = parallel ? std::max(1u, std::thread::hardware_concurrency()) : 1;
  std::atomic<int> next{phase.first_step};
  std::mutex mutex;
  std::pair<int, Status> failure{phase.end_step, {}};  // the first in the steps' order
  const auto work = [&] {
    for (int s; (s = next++) < phase.end_step;) {
      Status status = bind_step(phase, s, binding);
      if (status.ok()) continue;
      std::lock_guard lock(mutex);
      if (s < failure.first) failure = {s, std::move(status)};
      return;
    }
  };
  std::vector<std::thread> threads;
  for (size_t i = 1; i < std::min(cores, phase.steps.size()); ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  if (failure.second.ok()) return ok_status();
  const plan::Step& step = p.steps[size_t(failure.first)];
  if (!options_.changes.empty())
    failure.second = Status(failure.second.code(), cat(failure.second.message(), "; ", options_.changes));
  return failure.second.at(
      cat("step ", failure.first, " (", step.kernel, ") from '", join(step.sources), "'"));
}

Status Engine::bind_step(Phase& phase, int s, const Binding& binding) const {
  const plan::Program& p = plan_.program;
  const plan::Step& step = p.steps[size_t(s)];
  BoundStep& bound = phase.steps[size_t(s - phase.first_step)];
  bound.step = &step;
  bound.kernel = kernels_[size_t(s)];
  kernel::Problem problem = step.problem;
  if (step.binds_symbols) {
    // Operand dims are known; result dims stay symbolic.
    for (kernel::Operand& operand : problem.operands) {
      for (ir::Dim& d : operand.type.shape) {
        auto value = d.evaluate(lookup_in(binding));
        if (!value) return data_loss(cat("dim ", d.to_string(), " is not bound"));
        d = *value;
      }
    }
  } else {
    PLANISH_ASSIGN_OR_RETURN(problem, kernel::concrete(step.problem, lookup_in(binding)));
    if (kernel::is_empty(problem)) {
      bound.on_host = runs_on_host(s);
      bound.launchable = std::make_unique<Nothing>();
      return ok_status();
    }
  }
  const kernel::DeviceInfo& device = device_info_of(s);
  PLANISH_RETURN_IF_ERROR(
      check_step(step, *bound.kernel, problem, device, options_.check_problem));
  std::vector<ir::Tensor> constants(step.operands.size());
  for (size_t i = 0; i < step.operands.size(); ++i) {
    const int v = step.operands[i];
    if (v >= 0 && p.values[size_t(v)].kind == plan::ValueKind::kConstant)
      constants[i] = p.constants[size_t(p.values[size_t(v)].constant)].tensor;
  }
  const auto& packed = packed_[size_t(s)];
  kernel::BindArgs args;
  args.problem = &problem;
  args.tactic = &step.tactic;
  args.device = &device;
  bound.on_host = runs_on_host(s);
  bound.capturable = !bound.on_host && !step.binds_symbols && is_on_device(p, step);
  if (packed) args.packed = packed->bytes;
  args.artifact = step.artifact;
  args.constants = constants;
  PLANISH_ASSIGN_OR_RETURN(bound.launchable, bound.kernel->bind(args));
  const int64_t workspace = bound.launchable->workspace_bytes();
  if (workspace < 0 || workspace > kMaxBytes)
    return resource_exhausted(cat("a workspace of ", workspace, " bytes is beyond any memory"));
  bound.flops = kernel::flop_count(problem);
  bound.bytes_moved = kernel::bytes_moved(problem);
  return ok_status();
}

namespace {

// The place of a value inside its root's place.
Slot inside(const plan::Program& p, int value, Slot place, const Engine& engine,
            const Binding& binding) {
  std::vector<int> chain;
  for (int v = value; p.values[size_t(v)].parent >= 0; v = p.values[size_t(v)].parent)
    chain.push_back(v);
  for (size_t i = chain.size(); i-- > 0;) {
    const plan::ProgramValue& view = p.values[size_t(chain[i])];
    const auto offset = view.offset.evaluate(lookup_in(binding));
    if (!offset) return {};
    place.offset_bytes += ir::bytes_of(view.type.dtype, *offset);
    if (!view.strided) continue;
    if (place.outer_stride_bytes) continue;  // the parent's own stride holds
    const auto dims = engine.dims_of(view.parent, binding);
    if (!dims) continue;
    const ir::TensorType& parent = p.values[size_t(view.parent)].type;
    const int64_t bytes = physical_bytes(parent, *dims);
    if (bytes > 0) place.outer_stride_bytes = bytes / kernel::slice_count(parent, *dims);
  }
  return place;
}

}  // namespace

Status Engine::plan_memory(Phase& phase, std::span<const int> values,
                           const Binding& binding) const {
  const plan::Program& p = plan_.program;
  // One arena in the device's home, one beside it for values and workspaces on the host.
  const ir::MemorySpace home = device_->home();
  struct Side {
    std::vector<memplan::Request> requests;
    std::vector<MemoryUse> uses;
    memplan::ArenaPlan arena;
  } sides[2];
  std::map<int, size_t> request_of;  // root -> request of its side
  const auto side_of = [&](int value) {
    return size_t(p.values[size_t(value)].type.space == home ? 0 : 1);
  };
  const auto side_of_step = [&](int s) { return size_t(runs_on_host(s) ? 1 : 0); };
  const auto add_request = [&](size_t side, std::string name, int64_t bytes, int first, int last) {
    sides[side].requests.push_back({bytes, first, last});
    sides[side].uses.push_back({std::move(name), bytes, first, last, 0});
    return sides[side].requests.size() - 1;
  };
  const auto within_phase = [&](int step) { return std::min(step, phase.end_step - 1); };
  const auto lifetime_end = [&](int root) { return within_phase(end_of_life_[size_t(root)]); };
  std::vector<size_t> workspace_request(phase.steps.size(), size_t(-1));
  for (int s = phase.first_step; s < phase.end_step; ++s) {
    const plan::Step& step = p.steps[size_t(s)];
    const BoundStep& bound = phase.steps[size_t(s - phase.first_step)];
    if (const int64_t bytes = bound.launchable->workspace_bytes(); bytes > 0)
      workspace_request[size_t(s - phase.first_step)] =
          add_request(side_of_step(s), cat("workspace of step ", s), bytes, s,
                      within_phase(order_.last_beside(s)));
    for (size_t i = 0; i < step.results.size(); ++i) {
      const int v = step.results[i], r = root_[size_t(v)];
      if (phase.places[size_t(r)].where != Slot::Where::kAbsent || request_of.count(r)) continue;
      if (step.binds_symbols) {
        phase.places[size_t(r)] = {Slot::Where::kOwned, r};
        continue;
      }
      if (output_of_[size_t(r)] >= 0) {
        phase.places[size_t(r)] = {Slot::Where::kOutput, output_of_[size_t(r)]};
        phase.new_outputs.push_back(output_of_[size_t(r)]);
        continue;
      }
      const auto dims = dims_of(r, binding);
      if (!dims)
        return data_loss(cat("value '", p.values[size_t(r)].name, "' has unknown dims"));
      const auto count = ir::checked_element_count(*dims);
      if (!count || *count > kMaxBytes)
        return resource_exhausted(cat("value '", p.values[size_t(r)].name, "' of shape ",
                                      bracketed(*dims), " is beyond any memory"));
      const int64_t bytes = physical_bytes(p.values[size_t(r)].type, *dims);
      // In place over an operand whose last reader is this step, while no other runs.
      for (size_t j = 0; j < step.operands.size() && r == v && order_.is_alone(s); ++j) {
        const int o = step.operands[j];
        if (o < 0 || root_[size_t(o)] != o || last_use_[size_t(o)] != s) continue;
        auto donor = request_of.find(o);
        if (donor == request_of.end() || side_of(o) != side_of(r)) continue;
        auto& requests = sides[side_of(r)].requests;
        if (requests[donor->second].bytes != bytes) continue;
        if (std::count_if(step.operands.begin(), step.operands.end(),
                          [&](int other) { return other >= 0 && root_[size_t(other)] == o; }) != 1)
          continue;
        if (!bound.kernel->in_place(step.problem, int(i), int(j))) continue;
        request_of[r] = donor->second;
        requests[donor->second].last_step =
            std::max(requests[donor->second].last_step, lifetime_end(r));
        sides[side_of(r)].uses[donor->second].name += cat(" = ", p.values[size_t(r)].name);
        break;
      }
      if (!request_of.count(r))
        request_of[r] =
            add_request(side_of(r), p.values[size_t(r)].name, bytes, s, lifetime_end(r));
    }
  }
  for (Side& side : sides) {
    side.arena = memplan::plan_arena(side.requests,
                                     home == ir::MemorySpace::kHost ? kHostAlignment
                                                                    : kDeviceAlignment);
    for (size_t i = 0; i < side.uses.size(); ++i) {
      side.uses[i].offset = side.arena.offsets[i];
      side.uses[i].last_step = side.requests[i].last_step;
    }
  }
  phase.arena_bytes = sides[0].arena.arena_bytes;
  phase.sum_bytes = sides[0].arena.sum_bytes;
  phase.lower_bound_bytes = sides[0].arena.lower_bound_bytes;
  phase.host_arena_bytes = sides[1].arena.arena_bytes;
  phase.memory = std::move(sides[0].uses);
  for (const auto& [root, request] : request_of)
    phase.places[size_t(root)] = {
        side_of(root) == 0 ? Slot::Where::kArena : Slot::Where::kHostArena, phase.index,
        sides[side_of(root)].arena.offsets[request]};
  for (int s = phase.first_step; s < phase.end_step; ++s) {
    const plan::Step& step = p.steps[size_t(s)];
    BoundStep& bound = phase.steps[size_t(s - phase.first_step)];
    if (workspace_request[size_t(s - phase.first_step)] != size_t(-1))
      bound.workspace_offset =
          sides[side_of_step(s)].arena.offsets[workspace_request[size_t(s - phase.first_step)]];
    for (int v : step.operands)
      bound.operands.push_back(
          v < 0 ? Slot{}
                : inside(p, v, phase.places[size_t(root_[size_t(v)])], *this, binding));
    if (step.binds_symbols) continue;
    for (int v : step.results)
      bound.results.push_back(
          inside(p, v, phase.places[size_t(root_[size_t(v)])], *this, binding));
  }
  // Views of roots, for reading outputs and observing.
  for (const int v : values) {
    const int root = root_[size_t(v)];
    Slot& place = phase.places[size_t(v)];
    const Slot& root_place = phase.places[size_t(root)];
    if (v != root && root_place.where != Slot::Where::kAbsent &&
        place.where == Slot::Where::kAbsent && dims_of(v, binding))
      place = inside(p, v, root_place, *this, binding);
  }
  return ok_status();
}

}  // namespace planish::runtime
