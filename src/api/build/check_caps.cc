#include "api/build/check_caps.h"

#include <algorithm>

#include "api/runtime/engine_impl.h"
#include "base/text.h"
#include "runtime/engine.h"

namespace planish::api {
namespace {

using runtime::Binding;
using runtime::Engine;
using runtime::Phase;

struct Largest {
  int64_t bytes = 0;
  std::string name;
  void look(int64_t other, const std::string& other_name) {
    if (other > bytes) *this = {other, other_name};
  }
};

struct Use {
  int64_t weights = 0, packed = 0, arena = 0, allocated = 0;
  Largest weight, blob, in_arena;
  int64_t total() const { return weights + packed + arena + allocated; }
};

std::string step_name(const plan::Program& program, int step) {
  const plan::Step& s = program.steps[size_t(step)];
  return cat("step ", step, " (", s.kernel, ") from '", join(s.sources), "'");
}

// Gives the symbols that the step's results bind their upper bounds; false where one has none.
bool bind_bounds(const plan::Program& program, const plan::Step& step, Binding& binding) {
  for (const int v : step.results)
    for (const ir::Dim& dim : program.values[size_t(v)].type.shape)
      for (const std::string& symbol : dim.symbols()) {
        if (binding.count(symbol)) continue;
        const auto info = program.symbols.find(symbol);
        if (info == program.symbols.end()) return false;
        std::optional<int64_t> bound = info->second.high;
        if (info->second.upper_bound)
          bound = info->second.upper_bound->evaluate(
              [&](std::string_view name) -> std::optional<int64_t> {
                const auto known = binding.find(name);
                return known == binding.end() ? std::nullopt
                                              : std::optional<int64_t>(known->second);
              });
        if (!bound) return false;
        binding[symbol] = *bound;
      }
  return true;
}

void count_constants(const Engine& engine, Use& use) {
  const plan::Program& p = engine.program();
  use.weights = engine.weight_bytes();
  use.packed = engine.packed_bytes();
  for (const plan::Constant& c : p.constants)
    use.weight.look(c.tensor.bytes(), cat("'", c.name, "'"));
  for (int s = 0; s < int(p.steps.size()); ++s)
    if (const kernel::Blob* blob = engine.packed(s))
      use.blob.look(int64_t(blob->bytes.size()), step_name(p, s));
}

// Of results that their own step allocates.
int64_t allocated_bytes(const Engine& engine, const plan::Step& step, const Binding& binding) {
  int64_t total = 0;
  for (const int v : step.results) {
    const auto dims = engine.dims_of(v, binding);
    const auto count = dims ? ir::checked_element_count(*dims) : std::nullopt;
    if (count) total += ir::bytes_of(engine.program().values[size_t(v)].type.dtype, *count);
  }
  return total;
}

planish::Status add_phases(const Engine& engine, size_t profile, const Caps& caps,
                           const std::vector<std::vector<int64_t>>& input_dims,
                           std::string_view shapes, Use& use);

planish::Status add_phase(const Engine& engine, const Phase& phase, size_t profile,
                          const Caps& caps, std::string_view shapes, Use& use) {
  const plan::Program& p = engine.program();
  use.arena += phase.arena_bytes + phase.host_arena_bytes;
  for (const runtime::MemoryUse& one : phase.memory) use.in_arena.look(one.bytes, one.name);
  for (size_t i = 0; i < phase.steps.size(); ++i) {
    const int64_t bytes = phase.steps[i].launchable->workspace_bytes();
    if (caps.max_workspace > 0 && bytes > caps.max_workspace)
      return resource_exhausted(cat(step_name(p, phase.first_step + int(i)),
                                    " takes a workspace of ", bytes, " bytes", shapes,
                                    ", max_workspace is ", caps.max_workspace));
    for (const auto& body : engine.bodies(phase.first_step + int(i)))
      PLANISH_RETURN_IF_ERROR(
          add_phases(*body, profile, caps,
                     example_dims(body->program(), profile, &plan::ProfileInput::max), shapes, use));
  }
  return ok_status();
}

std::string largest_of(const Largest& one) {
  return one.bytes ? cat(" (most: ", one.name, " with ", one.bytes, ")") : "";
}

planish::Status add_phases(const Engine& engine, size_t profile, const Caps& caps,
                           const std::vector<std::vector<int64_t>>& input_dims,
                           std::string_view shapes, Use& use) {
  PLANISH_ASSIGN_OR_RETURN(const auto instance, engine.instance(input_dims));
  std::shared_ptr<const Phase> phase = instance->first_phase_shared();
  Binding binding = instance->binding();
  PLANISH_RETURN_IF_ERROR(add_phase(engine, *phase, profile, caps, shapes, use));
  while (!engine.is_last(*phase)) {
    const plan::Step& last = *phase->steps.back().step;
    if (!bind_bounds(engine.program(), last, binding)) break;
    use.allocated += allocated_bytes(engine, last, binding);
    auto next = instance->later_phase(*phase, binding);
    if (!next.ok()) break;  // bounds that cannot all hold at once
    phase = std::move(*next);
    PLANISH_RETURN_IF_ERROR(add_phase(engine, *phase, profile, caps, shapes, use));
  }
  return ok_status();
}

planish::Status check_shapes(const Engine& engine, size_t profile, const Caps& caps, Use use) {
  const plan::Program& p = engine.program();
  const auto input_dims = example_dims(p, profile, &plan::ProfileInput::max);
  std::vector<std::string> named;
  for (size_t i = 0; i < input_dims.size(); ++i)
    named.push_back(cat("'", p.values[size_t(p.inputs[i])].name, "' ", bracketed(input_dims[i])));
  const std::string shapes = named.empty() ? "" : cat(" for ", join(named));
  PLANISH_RETURN_IF_ERROR(add_phases(engine, profile, caps, input_dims, shapes, use));
  if (caps.max_memory <= 0 || use.total() <= caps.max_memory) return ok_status();
  return resource_exhausted(
      cat("the plan takes ", use.total(), " bytes", shapes, ": weights ", use.weights,
          largest_of(use.weight), ", packed weights ", use.packed, largest_of(use.blob), ", arena ",
          use.arena, largest_of(use.in_arena),
          use.allocated ? cat(", results that only data size ", use.allocated) : "",
          "; max_memory is ", caps.max_memory));
}

}  // namespace

planish::Status check_caps(const plan::Plan& plan, const Caps& caps,
                           std::shared_ptr<backend::Device> device,
                           std::shared_ptr<backend::Device> host,
                           const kernel::KernelRegistry& kernels) {
  if (caps.max_workspace <= 0 && caps.max_memory <= 0) return ok_status();
  runtime::EngineOptions options;
  options.host = std::move(host);
  PLANISH_ASSIGN_OR_RETURN(const auto engine,
                           Engine::create(plan, std::move(device), kernels, options));
  Use use;
  count_constants(*engine, use);
  const size_t sets = std::max<size_t>(plan.program.profiles.size(), 1);
  for (size_t i = 0; i < sets; ++i)
    PLANISH_RETURN_IF_ERROR(check_shapes(*engine, i, caps, use));
  return ok_status();
}

}  // namespace planish::api
